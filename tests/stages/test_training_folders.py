"""Two runs never delete each other's models and checkpoints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.filters import Filter
from distillery_core.stages import train
from distillery_core.stages.project import Project
from distillery_core.stages.training_folders import alone_in, checkpoint_since
from distillery_core.student.checkpoints.files import STATE
from distillery_core.student.checkpoints.folder import checkpoints
from distillery_core.student.testing import tiny_base

HOLDS = """
import sys
from pathlib import Path
from distillery_core.stages.project import Project
from distillery_core.stages.training_folders import alone_in

with alone_in(Project(Path(sys.argv[1])), Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, object]:
    base = str(tiny_base(tmp_path / "base", "bert"))
    return {"model_name": base, "epochs": 2, "max_length": 32, "keep": 1}


def test_a_folder_that_another_process_trains_into_is_refused(
    project: Project, tiny: Filter, asked: dict[str, object]
) -> None:
    home = project.home(tiny)
    before = sorted(home.rglob("*"))
    command = [sys.executable, "-c", HOLDS, str(project.root), str(home)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=r"another run is training into it(?s:.)*--output-dir"):
            train.train(project, tiny, overrides=asked, mlflow=False)
        assert sorted(home.rglob("*")) == before
        other.kill()  # the lock ends with its holder
        other.wait()
        train.train(project, tiny, overrides=asked, mlflow=False)
    assert (home / "model").is_dir()


def test_runs_into_two_folders_keep_their_checkpoints_apart(
    project: Project, tiny: Filter, asked: dict[str, object], tmp_path: Path
) -> None:
    folders = [None, tmp_path / "seed one", tmp_path / "elsewhere" / "seed one"]
    for seed, folder in enumerate(folders):
        own = {**asked, "seed": seed}
        train.train(project, tiny, output_dir=folder, overrides=own, mlflow=False)
    found = [checkpoint_since(project, tiny, folder, 0.0) for folder in folders]
    assert all(path is not None and path.is_dir() for path in found)
    assert len({path.parent for path in found if path is not None}) == len(folders)
    assert [len(checkpoints(path.parent)) for path in found if path is not None] == [1, 1, 1]
    assert checkpoint_since(project, tiny, None, found[0].stat().st_mtime + 3600) is None  # type: ignore[union-attr]


def test_the_last_written_is_told_of_and_not_the_furthest_on(
    project: Project, tiny: Filter
) -> None:
    """As where a run resumed from before that one is interrupted."""
    folder = project.root / "training" / "checkpoints" / tiny.slug
    for name, written in (("step_44", 100), ("epoch_6", 90)):
        (folder / name).mkdir(parents=True)
        (folder / name / STATE).touch()
        os.utime(folder / name / STATE, (written, written))
    found = [checkpoint_since(project, tiny, None, began) for began in (80.0, 95.0, 101.0)]
    assert found == [folder / "step_44", folder / "step_44", None]


def test_what_a_killed_run_left_half_is_cleared_away_by_the_next(
    project: Project, tmp_path: Path
) -> None:
    home, kept = tmp_path / "home", tmp_path / "checkpoints"
    ours = [home / ".model.ab_3efgh.tmp", home / f".model-{'0f' * 6}.abcdefg1.tmp"]
    ours += [kept / ".step_12.abcdefgh.tmp", kept / ".epoch_2.removed"]
    others = [home / ".notes.abcdefgh.tmp", kept / ".abcdefgh.tmp", kept / ".step_x.abcdefgh.tmp"]
    for folder in [*ours, *others]:
        folder.mkdir(parents=True)
    with alone_in(project, home):
        with pytest.raises(UserError), alone_in(project, kept, home):
            pass
        assert ours[2].is_dir(), "not without the lock"
    with alone_in(project, home, kept):
        assert not any(folder.exists() for folder in ours)
        assert all(folder.exists() for folder in others)


@pytest.mark.parametrize("spelling", ["out", "./out", "other/../out", "link"])
def test_one_folder_has_one_lock_however_it_is_spelled(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("out", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with alone_in(project, tmp_path / "out"):
        with pytest.raises(UserError, match="another run"), alone_in(project, Path(spelling)):
            pass
        with alone_in(project, Path("other")):
            pass
    with alone_in(project, Path(spelling)):
        pass


def test_a_refused_run_lets_go_of_what_it_held(project: Project, tmp_path: Path) -> None:
    with alone_in(project, tmp_path / "b"):
        with pytest.raises(UserError), alone_in(project, tmp_path / "a", tmp_path / "b"):
            pass
        with alone_in(project, tmp_path / "a"):
            pass
