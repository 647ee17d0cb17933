"""A calibrated model's two test errors are told apart in summary, document and card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.filters import load_filter
from distillery_core.reports.calibration_words import calibration_text
from distillery_core.reports.hub_card import Card, Licence, Reading, render_card
from distillery_core.reports.record import Record, read_record
from distillery_core.reports.training_document import key_figures, write_document
from distillery_core.reports.training_record import TrainingReport, read_training
from distillery_core.reports.training_summary import training_summary
from distillery_core.stages.project import Project
from tests.reports.training_files import write_run

APPLIED = {
    "kept": True,
    "reason": "validation MAE -0.013 (-0.017 to -0.008), cross-fitted",
    "rows": 261,
    "before": 0.148,
    "after": 0.129,
    "low": -0.023,
    "high": -0.015,
    "promised": 0.9,
    "articles": 259,
    "coverage": [
        {"dimension": "heat", "share": 0.84, "low": 0.79, "high": 0.88},
        {"dimension": "noise", "share": 0.92, "low": 0.88, "high": 0.95},
    ],
}
SHOWN = {
    "calibration": APPLIED,
    "rivals": [{"name": "this model", "mae": 0.129, "rmse": 0.179}],
    "splits": [
        {"name": "validation", "articles": 261, "mae": 0.141, "rmse": 0.188},
        {"name": "test", "articles": 259, "mae": 0.148, "rmse": 0.196},
    ],
}


@pytest.fixture
def judged(judged_project: Callable[..., Project], tmp_path: Path) -> Callable[..., TrainingReport]:
    """A report whose evaluation shows what is given."""
    home = judged_project(n=150).root / "filters/floods/v1"
    record = read_record(home / "model_evaluation.json")
    training = read_training(write_run(tmp_path / "run"), None)

    def judge(**shown: Any) -> TrainingReport:
        changed = record.model_copy(update={"shown": {**record.shown, **SHOWN, **shown}})
        return TrainingReport("floods", 1, training, None, changed)

    return judge


def record_of(report: TrainingReport) -> Record:
    assert report.record is not None
    return report.record


def test_the_summary_has_a_column_for_each_error(judged: Callable[..., TrainingReport]) -> None:
    text = training_summary(judged())
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert rows["all"][-2:] == ["0.148", "0.129"] and rows["(RMSE)"][-2:] == ["0.196", "0.179"]
    assert rows["harm"][-2] == "-"
    assert "test: before calibration\ndeployed: test as deployed, calibrated\n" in text
    assert "\nCalibration\n" in text and max(map(len, text.splitlines())) <= 78


def test_one_error_needs_no_name(judged: Callable[..., TrainingReport]) -> None:
    text = training_summary(judged(calibration=None))
    assert "deployed" not in text and "calibrat" not in text.lower()


def test_the_document_names_both(judged: Callable[..., TrainingReport], tmp_path: Path) -> None:
    import docx

    write_document(tmp_path / "r.docx", judged(), [], tmp_path)
    document = docx.Document(str(tmp_path / "r.docx"))
    told = [one.text for one in document.paragraphs]
    rows = [[cell.text for cell in row.cells] for table in document.tables for row in table.rows]
    assert ["test (before calibration)", "259", "0.148", "0.196"] in rows
    assert ["test (as deployed, calibrated)", "150", "0.129", "0.179"] in rows
    assert any(row[0].startswith("Test MAE as deployed, calibrated (") for row in rows)
    assert calibration_text(record_of(judged())) in told


@pytest.mark.parametrize("calibration", [APPLIED, None])
def test_the_card_names_what_it_judges(
    judged: Callable[..., TrainingReport],
    judged_project: Callable[..., Project],
    calibration: dict[str, Any] | None,
) -> None:
    report = judged(calibration=calibration)
    filter = load_filter(judged_project(n=150).root / "filters/floods/v1")
    reading = Reading(64, 4000, 0.75, (1,), (2,), calibration is not None)
    record, training = record_of(report), report.training
    card = Card("a/b", filter, Licence("mit"), reading, "x", {}, record, training, False)
    text = render_card(card)
    named = ["Test MAE as deployed, calibrated (", "By dimension, as deployed, calibrated:",
             "0.148 before calibration"]  # fmt: skip
    assert [part in text for part in named] == [calibration is not None] * 3


def test_key_figures_name_what_they_are_of(judged: Callable[..., TrainingReport]) -> None:
    names = [name for name, _ in key_figures(record_of(judged(calibration=None)))]
    assert any(name.startswith("Test MAE (points") for name in names)


def test_it_says_why_and_what_it_does(judged: Callable[..., TrainingReport]) -> None:
    text = calibration_text(record_of(judged()))
    for part in (
        "fitted on 261 validation articles",
        "Why it was kept: validation MAE -0.013 (-0.017 to -0.008), cross-fitted.",
        "0.148 before calibration and 0.129 as deployed, calibrated: -0.019 (95 % interval -0.023",
        "heat 84 % (79 % to 88 %), noise 92 %",
        "too few for heat.",
    ):
        assert part in text


def test_it_says_why_not(judged: Callable[..., TrainingReport]) -> None:
    few = {"kept": False, "reason": "35 articles", "before": 1.1, "after": 1.1, "articles": 35}
    text = calibration_text(record_of(judged(calibration=few)))
    assert text.startswith("Calibration is not applied: 35 articles.")
    assert "1.100" in text and text.endswith("too few validation articles for them.")
    enough = {**APPLIED, "kept": False, "coverage": APPLIED["coverage"][1:]}  # type: ignore[index]
    text = calibration_text(record_of(judged(calibration=enough)))
    assert text.endswith("In no dimension is that too few beyond chance.")
