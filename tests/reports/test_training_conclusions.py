from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.reports.record import Record, Verdict, line_of, read_record
from distillery_core.reports.training_conclusions import conclusions
from distillery_core.reports.training_record import read_training
from distillery_core.stages.project import Project
from distillery_core.types import Level
from distillery_core.verdicts.criteria import Words
from distillery_core.verdicts.decision import EVERY_LINE
from distillery_core.verdicts.judgement import LineResult
from tests.reports.training_files import write_run

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases/reports/conclusions.yaml").read_text(encoding="utf-8")
)


@pytest.fixture
def record(judged_project: Callable[..., Project]) -> Record:
    home = judged_project(n=150).root / "filters/floods/v1"
    return read_record(home / "model_evaluation.json")


def _changed(record: Record, case: dict[str, Any]) -> Record:
    levels, intervals = case.get("lines", {}), case.get("intervals", {})
    lines = tuple(
        line.model_copy(
            update={
                "level": levels.get(line.name, line.level),
                "measurement": line.measurement.model_copy(update=intervals.get(line.name, {})),
            }
        )
        for line in record.decision.lines
    )
    decision = record.decision.model_copy(update={"lines": lines})
    if case.get("verdict") == "OK":
        decision = _all_well(decision, record.words)
    shown = {**record.shown, **case.get("shown", {})}
    return record.model_copy(update={"shown": shown, "decision": decision})


def _all_well(decision: Verdict, words: Words) -> Verdict:
    """As `decide` gives it where all lines are well: the catch-all decides."""
    lines = tuple(
        line if line.level == "NOT_APPLICABLE" else line.model_copy(update={"level": "OK"})
        for line in decision.lines
    )
    every = LineResult(EVERY_LINE, "Every line", Level.OK, "17 lines are within their limits")
    update = {"word": words.ok, "level": "OK", "deciding": line_of(every, words), "lines": lines}
    return decision.model_copy(update=update)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_what_is_concluded(case: dict[str, Any], record: Record, tmp_path: Path) -> None:
    history = write_run(
        tmp_path,
        case.get("course", [1.2, 0.8]),
        case.get("kept"),
        case.get("val"),
        best_by=case.get("best_by"),
        **case.get("training", {}),
    )
    training = read_training(history, history.with_name("training_metadata.json"))
    judged = _changed(record, case) if case.get("record", True) else None
    found = conclusions(training, judged)
    titles = [one.title for one in found]
    assert not set(case.get("says", [])) - set(titles)
    assert not set(case.get("silent", [])) & set(titles)
    told = "\n".join(f"{one.title} {one.text}" for one in found)
    assert not [part for part in case.get("holds", []) if part not in told]
    assert not [part for part in case.get("lacks", []) if part in told]
    assert all(one.text.endswith(".") and " nan" not in one.text for one in found)


def test_every_conclusion_names_a_number(record: Record, tmp_path: Path) -> None:
    history = write_run(tmp_path)
    found = conclusions(read_training(history, None), record)
    assert len(found) > 4
    assert all(any(c.isdigit() for c in one.text) for one in found)
