"""What stands around a training run, in real processes: one error of several, Ctrl-C."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from distillery_core.cli.main import main
from distillery_core.cli.training_run import _without_devices
from distillery_core.cli.work import LineWork
from distillery_core.dataset.prepare import prepare
from distillery_core.files import write_text
from distillery_core.stages.project import Project
from distillery_core.student import launch
from distillery_core.student.testing import labelled_rows, tiny_base, tiny_filter, write_rows
from tests.full_disk import files_of_at_most

ROOT = Path(__file__).resolve().parents[2]
INTERRUPTED = """
import os, sys, time
from pathlib import Path
from distillery_core.cli.app import Interrupted
from distillery_core.cli.training_run import told_how_to_go_on
from distillery_core.filters import load_filter
from distillery_core.stages.project import Project

root = Path(sys.argv[1])
filter = load_filter(root / "filters" / "tiny" / "v1")
written = root / "training" / "checkpoints" / filter.slug / "step_1"
try:
    with told_how_to_go_on(Project(root), filter, None, None):
        written.mkdir(parents=True)
        (written / "state.json").touch()
        later = time.time() + 1  # files have coarser clocks
        os.utime(written / "state.json", (later, later))
        raise KeyboardInterrupt
except Interrupted as error:
    assert str(error).endswith("step_1")
assert not {"torch", "transformers"} & set(sys.modules)
"""
TRAIN = ["train", "--filter", "tiny", "--model-name", "base", "--max-length", "32"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The working directory: a project with a dataset and a tiny base."""
    found = Project(tmp_path / "project")
    tiny = tiny_filter(found.root / "filters")
    rows = write_rows(tmp_path / "rows.jsonl", labelled_rows(tiny, 60))
    prepare(tiny, rows, found.training_dir(tiny))
    tiny_base(found.root / "base", "bert")
    monkeypatch.chdir(found.root)
    return found


def test_two_processes_with_the_same_error_say_it_once(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["train", "--filter", "uplifting", "--schedule", "steps", "--devices", "2"]) == 2
    assert capfd.readouterr().err.count("schedule: 'steps' is not 'linear' or 'cosine'") == 1


def test_an_error_of_the_first_process_alone_is_said_alone(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first one records the run; to the others its end is a connection that broke."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert main([*TRAIN, "--device", "cpu", "--devices", "2"]) == 2
    said = capfd.readouterr().err
    assert said.count("error: ") == 1
    assert "MLflow cannot be reached" in said
    assert "Traceback" not in said
    assert "bug of distillery" not in said


@pytest.mark.parametrize(
    ("rank", "processes", "is_cause", "waits"),
    [
        ("0", "1", True, []),
        ("0", "1", False, []),
        ("0", "2", True, []),
        ("0", "2", False, [launch._FIRST_WAITS_SECONDS]),
        ("1", "2", True, [launch._OTHERS_WAIT_SECONDS]),
        ("1", "2", False, [launch._OTHERS_WAIT_SECONDS]),
    ],
)
def test_who_waits_before_it_speaks(
    rank: str, processes: str, is_cause: bool, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", processes)
    launch.let_the_first_speak(is_cause=is_cause)
    assert waited == waits


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--devices", "2", "--seed", "1"], ["--seed", "1"]),
        (["--seed", "1", "--devices=2"], ["--seed", "1"]),
        (["--device", "cpu", "--devices", "2"], ["--device", "cpu"]),
    ],
)
def test_the_same_command_is_started_without_its_devices(given: list[str], kept: list[str]) -> None:
    assert _without_devices(given) == kept


def test_ctrl_c_says_whether_there_is_a_checkpoint(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted_at(step: int, *options: str) -> str:
        def stop(self: LineWork, done: int, total: int | None, note: str = "") -> None:
            if done == step:
                raise KeyboardInterrupt

        monkeypatch.setattr(LineWork, "progress", stop)
        assert main([*TRAIN, "--no-mlflow", "--checkpoint-every", "1", *options]) == 130
        return capfd.readouterr().err

    assert "interrupted; there is no checkpoint yet, the same command begins" in interrupted_at(1)
    kept = "training/checkpoints/tiny_v1/step_2"
    assert f"--resume goes on from the last checkpoint, {kept}" in interrupted_at(3)
    said = interrupted_at(1)
    assert "An earlier run was interrupted: --resume goes on from" in said
    assert "there is no checkpoint yet" in said
    said = interrupted_at(3, "--resume")
    assert "the same command goes on from the checkpoint that it began with" in said


def test_what_says_so_loads_no_library_of_models(project: Project) -> None:
    """Who pressed Ctrl-C is not kept waiting for it."""
    subprocess.run([sys.executable, "-c", INTERRUPTED, str(project.root)], check=True)


def test_a_full_disk_on_resuming_leaves_the_model_that_stands_there(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best model of the run is to be put back, over another one."""

    def stop(self: LineWork, done: int, total: int | None, note: str = "") -> None:
        if note.startswith("epoch 2"):
            raise KeyboardInterrupt

    asked = [*TRAIN, "--no-mlflow", "--epochs", "3", "--output-dir", "out"]
    with monkeypatch.context() as patched:
        patched.setattr(LineWork, "progress", stop)
        assert main(asked) == 130
    model = project.root / "out" / "model"
    write_text(model / "config.json", "{}")
    before = {path: path.read_bytes() for path in (project.root / "out").rglob("*.*")}
    capfd.readouterr()
    with files_of_at_most(60_000):
        assert main([*asked, "--resume"]) == 2
    said = capfd.readouterr().err
    assert "error: out/model: the model cannot be saved: File too large\n  -> free some" in said
    assert "Traceback" not in said
    assert {path: path.read_bytes() for path in (project.root / "out").rglob("*.*")} == before
    assert main([*asked, "--resume"]) == 0
