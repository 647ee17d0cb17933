"""Results without their model: what is there is judged, the rest is said, and nothing DEPLOYs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.agents.evaluation_files import (
    ResultFiles,
    judge_files,
    read_result_files,
)
from distillery_core.errors import UserError
from distillery_core.types import Level
from distillery_core.verdicts import Decision, read_criteria

ROOT = Path(__file__).parents[2]
TABLE = read_criteria(ROOT / "agents/model_evaluation/criteria.yaml").for_round("evaluation")
RUNS = json.loads((ROOT / "tests/cases/verdicts/real_runs.json").read_text(encoding="utf-8"))
HISTORY = [{"train": {"mae": value - 0.1}, "val": {"mae": value}} for value in (1.0, 0.8, 0.7)]
METADATA = {
    "model_name": "Qwen/Qwen2.5-0.5B",
    "num_parameters": 494_000_000,
    "num_trainable_parameters": 494_000_000,
    "dimension_names": ["harm", "area"],
    "best_epoch": 3,
}


def _files(folder: Path, rows: list[Any] | None, history: Any = HISTORY) -> tuple[Path, ...]:
    paths = folder / "training_history.json", folder / "training_metadata.json"
    paths[0].write_text(json.dumps(history), encoding="utf-8")
    paths[1].write_text(json.dumps(METADATA), encoding="utf-8")
    if rows is None:
        return paths
    predictions = folder / "predictions.jsonl"
    predictions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return *paths, predictions


def _rows(n: int = 300) -> list[dict[str, Any]]:
    rows = []
    for at in range(n):
        labels = {"harm": at % 10, "area": (at * 3) % 10}
        predictions = [min(10.0, labels["harm"] + 0.5), max(0.0, labels["area"] - 0.5)]
        rows.append({"id": str(at), "labels": labels, "predictions": predictions})
    return rows


def _levels(decision: Decision) -> dict[str, str]:
    return {line.name: line.level.name for line in decision.lines if not line.insufficient}


def test_predictions_allow_the_error_lines(tmp_path: Path) -> None:
    decision = judge_files(read_result_files(*_files(tmp_path, _rows())), TABLE)
    levels = _levels(decision)
    assert decision.word == "REVIEW"
    assert levels["test_articles"] == levels["test_mae"] == levels["implausible"] == "OK"
    assert levels["test_validation_gap"] == levels["epochs_improving"] == "OK"
    not_checkable = [line.name for line in decision.lines if "not checkable" in line.reason]
    assert {"skill", "against_tfidf", "leak", "record_agrees", "tripwires"} <= set(not_checkable)


def test_without_predictions_only_the_training_is_judged(tmp_path: Path) -> None:
    decision = judge_files(read_result_files(*_files(tmp_path, None)), TABLE)
    assert decision.word == "REVIEW"
    reasons = {line.name: line.reason for line in decision.lines}
    assert "not checkable: there are no test predictions" in reasons["test_mae"]
    assert _levels(decision)["validation_train_gap"] == "OK"


def test_a_history_without_train_errors_is_taken(tmp_path: Path) -> None:
    history = [{"val": {"mae": 0.9}}, {"val": {"mae": 0.8}}]
    decision = judge_files(read_result_files(*_files(tmp_path, None, history)), TABLE)
    reasons = {line.name: line.reason for line in decision.lines}
    assert "the history has no train MAE" in reasons["validation_train_gap"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "x", "labels": {"harm": 1, "area": 1}}, "lacks 'predictions'"),
        ({"id": "x", "labels": {"harm": 1}, "predictions": [1, 1]}, "dimensions are harm"),
        ({"id": "x", "labels": [1, 2, 3], "predictions": [1, 1]}, "3 scores for 2 dimensions"),
        ({"id": "x", "labels": [1, 12], "predictions": [1, 1]}, "not within 0-10"),
        ({"id": "0", "labels": [1, 2], "predictions": [1, 1]}, "the id '0' stood before"),
        ([1], "an object is needed"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: Any, said: str) -> None:
    paths = _files(tmp_path, [*_rows(2), row])
    with pytest.raises(UserError, match=said) as error:
        read_result_files(*paths)
    assert "predictions.jsonl:3" in str(error.value)


@pytest.mark.parametrize("history", [[], {}, [{"val": {}}], [1], "x"])
def test_a_history_that_is_none(tmp_path: Path, history: Any) -> None:
    with pytest.raises(UserError, match="epoch"):
        read_result_files(*_files(tmp_path, None, history))


@pytest.mark.parametrize("run", RUNS["evaluation_cases"], ids=lambda run: run["case"])
def test_the_13_real_runs_never_deploy(run: dict[str, Any]) -> None:
    """Their curves and records, by the code that `evaluate --history` runs."""
    train = run.get("train_mae_by_epoch") or [None] * len(run["val_mae_by_epoch"])
    history = [
        {"val": {"mae": after}, "train": {"mae": before}}
        for before, after in zip(train, run["val_mae_by_epoch"], strict=True)
    ]
    metadata = {
        "model_name": run["model_name_claimed"],
        "num_parameters": run["num_parameters"],
        "num_trainable_parameters": run.get("num_trainable_parameters", run["num_parameters"]),
        "best_epoch": run["best_epoch"],
    }
    decision = judge_files(ResultFiles(history, metadata, ()), TABLE)
    assert decision.level is not Level.OK
    named_7b = "7b" in run["model_name_claimed"].lower() and run["num_parameters"] < 1e9
    record = next(line for line in decision.lines if line.name == "record_agrees")
    assert (record.measurement.value == 1) == named_7b


@given(
    st.lists(st.floats(0.01, 3), min_size=1, max_size=6),
    st.dictionaries(
        st.sampled_from([*METADATA, "weights_moved", "best_val_mae", "settings"]),
        st.none()
        | st.integers(-1, 9)
        | st.floats(0, 2)
        | st.just({"tensors_moved": 3, "tensors": 3}),
    ),
)
def test_no_record_at_all_makes_it_deploy(curve: list[float], record: dict[str, Any]) -> None:
    history = [{"val": {"mae": value}, "train": {"mae": value}} for value in curve]
    assert judge_files(ResultFiles(history, record, ()), TABLE).level is not Level.OK


def test_a_table_without_the_lines_that_need_the_model_does_not_deploy_either(
    tmp_path: Path,
) -> None:
    kept = tuple(line for line in TABLE.lines if line.name in ("test_articles", "test_mae"))
    table = TABLE.model_copy(update={"lines": kept})
    decision = judge_files(read_result_files(*_files(tmp_path, _rows())), table)
    assert decision.word == "REVIEW"
    assert "a model nobody loaded is not deployed" in decision.deciding.reason
