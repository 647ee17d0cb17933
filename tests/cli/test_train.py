"""`distillery train`: the plan, --resume with and without a path, a config in place of a filter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery_core.cli.main import main
from distillery_core.cli.verbs.train import NEWEST, TrainCommand, _batch_size, _judged_by
from distillery_core.cli.work import LineWork
from distillery_core.dataset.prepare import prepare
from distillery_core.stages.project import Project
from distillery_core.student.testing import labelled_rows, tiny_base, tiny_filter, write_rows

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "training/configs/uplifting_v1.yaml"


def test_the_plan_is_printed_and_nothing_is_loaded(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["train", "--config", CONFIG, "--plan", "--device", "RTX 4090 16GB"]) == 0
    printed = capfd.readouterr().out
    assert "Qwen/Qwen2.5-7B on RTX 4090 Laptop (16 GiB)" in printed
    assert "full with gradient checkpointing: 7,070,647,808 trained parameters" in printed
    assert "lora with gradient checkpointing" in printed
    assert printed.rstrip().endswith("--method auto takes qlora.")


def test_the_plan_takes_a_price_of_ones_own(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    options = ["train", "--config", CONFIG, "--plan", "--device", "RTX 4090 16GB"]
    assert main(options) == 0
    assert "no price known (--usd-per-hour names one)" in capfd.readouterr().out
    assert main([*options, "--usd-per-hour", "0.5", "--json"]) == 0
    qlora = json.loads(capfd.readouterr().out)["methods"][-1]
    assert qlora["usd"] == pytest.approx(0.5 * qlora["hours"], abs=0.01)
    for no_price in ("-1", "nan", "inf"):
        assert main([*options, "--usd-per-hour", no_price]) == 2
    assert main(["train", "--config", CONFIG, "--usd-per-hour", "0.5"]) == 2
    assert "only the plan has a price" in capfd.readouterr().err


def test_the_plan_as_json(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    options = ["--filter", "uplifting", "--plan", "--device", "H100", "--json"]
    assert main(["train", *options, "--model-name", "Qwen/Qwen2.5-1.5B"]) == 0
    plan = json.loads(capfd.readouterr().out)
    assert plan["chosen"] == "full"
    assert {row["method"] for row in plan["methods"]} == {"full", "lora", "qlora"}
    assert plan["methods"][0]["usd"] > 0
    assert main(["train", "--filter", "uplifting", "--plan", "--device", "abacus"]) == 2


def test_the_plan_counts_on_the_memory_that_is_named(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    options = ["train", "--filter", "uplifting", "--plan", "--device", "H100", "--json"]
    taken = {}
    for gib in ("", "40", "12", "2"):
        limit = ["--memory-limit-gib", gib] if gib else []
        assert main([*options, "--model-name", "Qwen/Qwen2.5-1.5B", *limit]) == 0
        plan = json.loads(capfd.readouterr().out)
        taken[gib] = plan["chosen"], plan["device_memory_bytes"] // 2**30
    assert taken == {"": ("full", 75), "40": ("full", 40), "12": ("lora", 12), "2": (None, 2)}
    assert main([*options, "--memory-limit-gib", "0"]) == 2
    assert "a finite number above 0" in capfd.readouterr().err
    assert main([*options, "--memory-limit-gib", "inf"]) == 2
    assert main([*options, "--memory-limit-gib", "nan"]) == 2


@pytest.mark.parametrize("several", [["--devices", "2"], ["--fsdp"]])
def test_the_plan_is_for_one_device(
    several: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    options = ["--plan", "--device", "H100", "--model-name", "Qwen/Qwen2.5-1.5B"]
    assert main(["train", "--filter", "uplifting", *options, *several]) == 2
    assert f"{several[0]}: the plan is for one device" in capfd.readouterr().err


def test_two_processes_with_the_same_error_say_it_once(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["train", "--filter", "uplifting", "--schedule", "steps", "--devices", "2"]) == 2
    assert capfd.readouterr().err.count("schedule is 'steps'") == 1


def test_ctrl_c_says_whether_there_is_a_checkpoint(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "project")
    tiny = tiny_filter(project.root / "filters")
    rows = write_rows(tmp_path / "rows.jsonl", labelled_rows(tiny, 60))
    prepare(tiny, rows, project.training_dir(tiny))
    base = str(tiny_base(tmp_path / "base", "bert"))
    monkeypatch.chdir(project.root)

    def interrupted_at(step: int, *options: str) -> str:
        def stop(self: LineWork, done: int, total: int | None, note: str = "") -> None:
            if done == step:
                raise KeyboardInterrupt

        monkeypatch.setattr(LineWork, "progress", stop)
        asked = ["--model-name", base, "--max-length", "32", "--checkpoint-every", "1"]
        assert main(["train", "--filter", "tiny", "--no-mlflow", *asked, *options]) == 130
        return capfd.readouterr().err

    assert "interrupted; there is no checkpoint yet, the same command begins" in interrupted_at(1)
    kept = "training/checkpoints/tiny_v1/step_2"
    assert f"--resume goes on from the last checkpoint, {kept}" in interrupted_at(3)
    said = interrupted_at(1)
    assert "An earlier run was interrupted: --resume goes on from" in said
    assert "there is no checkpoint yet" in said
    said = interrupted_at(3, "--resume")
    assert "the same command goes on from the checkpoint that it began with" in said


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--resume"], ["--resume", NEWEST]),
        (["--resume", "--epochs", "3"], ["--resume", NEWEST, "--epochs", "3"]),
        (["--resume", "a/epoch_2"], ["--resume", "a/epoch_2"]),
    ],
)
def test_resume_may_stand_alone(
    given: list[str], read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    parents = TrainCommand.__mro__[1]
    monkeypatch.setattr(parents, "parse_args", lambda self, ctx, args: seen.append(args) or args)

    class Context:
        obj: object = None

    TrainCommand.parse_args(object.__new__(TrainCommand), Context(), given)
    assert seen == [read]
    assert Context.obj is None


@pytest.mark.parametrize(
    ("output_dir", "data_dir", "told"),
    [
        (None, None, ""),
        ("elsewhere", None, " --model-dir elsewhere/model"),
        ("../my runs", "data", " --model-dir '../my runs/model' --data-dir data"),
        (None, "/data/it's", """ --data-dir '/data/it'"'"'s'"""),
    ],
)
def test_the_command_that_follows_judges_this_very_model(
    output_dir: str | None, data_dir: str | None, told: str
) -> None:
    given = (None if one is None else Path(one) for one in (output_dir, data_dir))
    assert _judged_by("tiny", *given) == f"distillery evaluate --filter tiny{told}"


def test_a_run_ends_with_the_command_that_judges_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "project")
    tiny = tiny_filter(project.root / "filters")
    rows = write_rows(tmp_path / "rows.jsonl", labelled_rows(tiny, 60))
    prepare(tiny, rows, project.root / "my data")
    base = str(tiny_base(tmp_path / "base", "bert"))
    monkeypatch.chdir(project.root)
    places = ["--data-dir", "my data", "--output-dir", "elsewhere"]
    asked = ["--model-name", base, "--max-length", "32", "--epochs", "1", "--no-mlflow"]
    assert main(["train", "--filter", "tiny", *places, *asked]) == 0
    last = capfd.readouterr().err.splitlines()[-1]
    told = "--filter tiny --model-dir elsewhere/model --data-dir 'my data'"
    assert last == f"  -> distillery evaluate {told}"
    assert Path("elsewhere/model").is_dir()


def test_batch_sizes() -> None:
    assert (_batch_size("8"), _batch_size("auto")) == (8, "auto")
    assert main(["train", "--filter", "uplifting", "--batch-size", "none"]) == 2


def test_neither_filter_nor_config() -> None:
    assert main(["train"]) == 2
