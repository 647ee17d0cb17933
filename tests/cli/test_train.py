"""`distillery train`: the plan, what config and options come to, and what it says at its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from distillery_core.cli.main import main
from distillery_core.cli.verbs.train import (
    NEWEST,
    TrainCommand,
    _batch_size,
    _judged_by,
    _settings_in,
    _what_may_help,
    app,
)
from distillery_core.dataset.prepare import prepare
from distillery_core.errors import UserError
from distillery_core.filters import resolve_filter
from distillery_core.stages.project import Project
from distillery_core.stages.train import resolved
from distillery_core.student.result import TrainResult
from distillery_core.student.testing import labelled_rows, tiny_base, tiny_filter, write_rows
from tests.epochs import epoch_of

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "training/configs/uplifting_v1.yaml"
CASES = yaml.safe_load((ROOT / "tests/cases/cli/training_settings.yaml").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_config_and_options_come_to(case: dict[str, Any], tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"training": case.get("config", {})}), encoding="utf-8")
    context = typer.main.get_command(app).make_context("train", list(case.get("options", [])))
    asked, filter_ = _settings_in(context.params), resolve_filter("uplifting", ROOT)
    if "says" in case:
        with pytest.raises(UserError) as refused:
            resolved(filter_, config, asked)
        assert case["says"] in str(refused.value)
        return
    found = resolved(filter_, config, asked)
    assert {name: getattr(found, name) for name in case["gives"]} == case["gives"]


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


def test_the_plan_of_several_devices(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    options = ["--plan", "--device", "H100", "--model-name", "Qwen/Qwen2.5-1.5B"]
    assert main(["train", "--filter", "uplifting", *options, "--devices", "4"]) == 0
    printed = capfd.readouterr().out
    assert "Qwen/Qwen2.5-1.5B on 4 x H100 (80 GiB)" in printed
    assert "memory that can be used: 75.2 GiB for each of 4 processes" in printed
    assert "of the peak, exchange not counted, about" in printed
    assert "at 4 x 2.5 USD/h" in printed
    assert main(["train", "--filter", "uplifting", *options, "--devices", "4", "--fsdp"]) == 2
    said = capfd.readouterr().err
    assert "--fsdp: the plan does not count weights that are shared out" in said


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


def _standing_in_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str | None = None
) -> str:
    """In a project with a tiny filter and its dataset, which may lie in another folder of the
    project; returns a base."""
    project = Project(tmp_path / "project")
    tiny = tiny_filter(project.root / "filters")
    rows = write_rows(tmp_path / "rows.jsonl", labelled_rows(tiny, 60))
    prepare(tiny, rows, project.root / data if data else project.training_dir(tiny))
    monkeypatch.chdir(project.root)
    return str(tiny_base(tmp_path / "base", "bert"))


def test_a_run_ends_with_the_command_that_judges_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = _standing_in_a_project(tmp_path, monkeypatch, data="my data")
    places = ["--data-dir", "my data", "--output-dir", "elsewhere"]
    asked = ["--model-name", base, "--max-length", "32", "--epochs", "1", "--no-mlflow"]
    assert main(["train", "--filter", "tiny", *places, *asked]) == 0
    printed = capfd.readouterr()
    assert printed.out.startswith("elsewhere/model: validation MAE ")
    *_, advice, last = printed.err.splitlines()
    assert advice.startswith("validation ") and "train again first" in advice
    told = "--filter tiny --model-dir elsewhere/model --data-dir 'my data'"
    assert last == f"  -> distillery evaluate {told}"
    assert Path("elsewhere/model").is_dir()


@pytest.mark.parametrize(
    ("method", "gained", "told"),
    [
        ("lora", True, "more epochs, more labels, a larger base"),
        ("lora", False, "more labels, a larger base"),
        ("frozen (ridge)", True, "--method full or lora, more labels, a larger base"),
        ("frozen (mlp)", True, "--method full or lora, more head_epochs in a training config, "),
        ("frozen (mlp)", False, "--method full or lora, more labels"),
    ],
)
def test_the_advice_names_what_has_an_effect(method: str, gained: bool, told: str) -> None:
    history = (epoch_of(1, {}, is_best=True), epoch_of(2, {}, is_best=gained))
    assert _what_may_help(TrainResult(Path("m"), history, {"method": method})).startswith(told)


def test_an_auto_run_is_repeated_with_other_pieces(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the config that it left: the batch was as large as fits, then it is cut as asked."""
    base = _standing_in_a_project(tmp_path, monkeypatch)
    first = ["--model-name", base, "--max-length", "32", "--epochs", "1", "--batch-size", "auto"]
    assert main(["train", "--filter", "tiny", "--no-mlflow", *first, "--output-dir", "a"]) == 0
    assert "articles fit at a time" in capfd.readouterr().err
    again = ["--config", "a/training_config.yaml", "--tokens-per-batch", "64", "--output-dir", "b"]
    assert main(["train", "--no-mlflow", *again]) == 0
    assert "articles fit at a time" not in capfd.readouterr().err
    left = json.loads(Path("b/training_metadata.json").read_text(encoding="utf-8"))
    assert left["micro_batch_tokens"] == 64


def test_batch_sizes() -> None:
    assert (_batch_size("8"), _batch_size("auto")) == (8, "auto")
    assert main(["train", "--filter", "uplifting", "--batch-size", "none"]) == 2


def test_neither_filter_nor_config() -> None:
    assert main(["train"]) == 2
