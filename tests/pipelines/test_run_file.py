"""A run's YAML: mistakes that ZenML would ignore are refused with their line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.errors import UserError, UserErrors
from distillery_core.pipelines.run_file import check_run_file, merged_run, run_file_model


def _pipeline(filter: str, input: str, budget: float | None = None, read: bool = True) -> None:
    """Stands for a pipeline's function."""


MODEL = run_file_model("small", _pipeline, ["label", "train"])
GOOD = "parameters:\n  filter: crisis\n  input: a.jsonl\n"

MISTAKES = {
    GOOD + "paramters: {}\n": r":4: paramters: unknown key, did you mean 'parameters'",
    GOOD + "  budgte: 3\n": r":4: parameters\.budgte: unknown key, did you mean 'budget'",
    GOOD + "  budget: much\n": r":4: parameters\.budget: .*number",
    GOOD + "  read: {}\n": r":4: parameters\.read: .*bool",
    GOOD + "steps: {tarin: {}}\n": r"steps\.tarin",
    GOOD + "steps: {train: {enable_cach: false}}\n": r"enable_cach: unknown key",
    GOOD + "steps: {train: {parameters: {epochs: 1}}}\n": r"parameters: unknown key",
    GOOD + "steps: {train: {retry: {max_retries: 3}}}\n": r"retry: unknown key",
    "parameters: {filter: crisis}\n": r"parameters\.input: required",
    "- a\n": r"valid dictionary|mapping",
    "": r"parameters",
}


@pytest.mark.parametrize(("text", "expected"), MISTAKES.items(), ids=list(range(len(MISTAKES))))
def test_mistakes_are_found(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as raised:
        check_run_file(path, MODEL)
    assert re.search(expected, str(raised.value)), raised.value


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(GOOD + "  budgte: 3\nsteps: {tarin: {}}\ntag: x\n", encoding="utf-8")
    with pytest.raises(UserErrors) as raised:
        check_run_file(path, MODEL)
    assert len(raised.value.errors) == 3


def test_parameters_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("enable_cache: false\nparameters: {filter: crisis, budget: 2}\n")
    given: dict[str, Any] = {"input": "b.jsonl", "budget": 5, "read": None}
    values = merged_run(path, given, MODEL)
    assert values == {
        "enable_cache": False,
        "parameters": {"filter": "crisis", "budget": 5.0, "input": "b.jsonl"},
    }


def test_parameters_without_a_file() -> None:
    assert merged_run(None, {"filter": "a", "input": "b"}, MODEL) == {
        "parameters": {"filter": "a", "input": "b"}
    }
    with pytest.raises(UserErrors, match="inptu: unknown key, did you mean 'input'"):
        merged_run(None, {"filter": "a", "inptu": "b"}, MODEL)


def test_shipped_files_are_valid_and_say_how_they_are_run() -> None:
    import importlib

    from distillery_core.pipelines.run import PIPELINES

    folder = Path(__file__).resolve().parents[2] / "pipelines"
    assert {path.stem for path in folder.glob("*.yaml")} == set(PIPELINES)
    for name in PIPELINES:
        pipeline = getattr(importlib.import_module(f"distillery_core.pipelines.{name}"), name)
        path = folder / f"{name}.yaml"
        check_run_file(path, pipeline.run_file)
        text = path.read_text(encoding="utf-8")
        assert f"zenml pipeline run distillery_core.pipelines.{name}.{name} -c pipelines/" in text
        assert "export ZENML_CONFIG_PATH=" in text


def test_every_parameter_of_distill_stands_in_its_file() -> None:
    import inspect

    from distillery_core.pipelines.distill import distill

    text = (Path(__file__).resolve().parents[2] / "pipelines" / "distill.yaml").read_text("utf-8")
    # What is commented out must be valid too, once its hash is removed.
    shown = yaml.safe_load(re.sub(r"^  # ", "  ", text, flags=re.MULTILINE))["parameters"]
    named = set(inspect.signature(distill.entrypoint).parameters) - {"project"}
    assert set(shown) == named
