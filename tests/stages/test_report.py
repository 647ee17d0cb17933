from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.filters import load_filter
from distillery_core.stages.project import Project
from distillery_core.stages.report import only_filter, report_states, write_page

JudgedProject = Callable[..., Project]


def test_the_only_filter_with_reports_is_taken(judged_project: JudgedProject) -> None:
    assert only_filter(judged_project()).label == "floods:v1"


def test_without_reports_it_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "filters").mkdir()
    with pytest.raises(UserError, match="no filter has a report"):
        only_filter(Project(tmp_path))


def test_of_several_one_has_to_be_named(judged_project: JudgedProject) -> None:
    project = judged_project()
    home = project.root / "filters/floods/v1"
    other = project.root / "filters/floods/v2"
    other.mkdir()
    for path in home.iterdir():
        if path.is_file():
            text = path.read_text(encoding="utf-8").replace('version: "1.0"', 'version: "2.0"')
            (other / path.name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="floods:v1, floods:v2"):
        only_filter(project)


def test_absent_evidence_closes_the_gate_and_is_named(judged_project: JudgedProject) -> None:
    project = judged_project()
    floods = load_filter(project.root / "filters/floods/v1")
    [strict] = report_states(project, floods)
    [lenient] = report_states(project, floods, absent_is_fine=True)
    assert (strict.state.open, lenient.state.open) == (False, True)
    assert strict.not_checkable == lenient.not_checkable == ("dataset_sha256", "model_sha256")
    assert strict.state.level is lenient.state.level


def test_the_page_of_a_calibrated_filter_has_both_rounds(calibrated: Project) -> None:
    crisis = load_filter(calibrated.root / "filters/crisis/v1")
    text = write_page(calibrated, crisis).read_text(encoding="utf-8")
    assert text.index('id="validation_report"') < text.index('id="calibration_report"')
    assert "approved by Ada: read it" in text
    assert str(calibrated.root) not in text
    validation = calibrated.root / "filters/crisis/v1/validation_report.json"
    assert validation.is_file()
