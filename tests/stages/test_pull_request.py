"""What a pull request's comment and check say, from real reports in real files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.filters import load_filter
from distillery_core.reports.comment import (
    MARKER,
    FilterReview,
    Review,
    check_result,
    render_comment,
)
from distillery_core.stages.gates import approve
from distillery_core.stages.project import Project
from distillery_core.stages.pull_request import review

JudgedProject = Callable[..., Project]
HOME = Path("filters/floods/v1")


@pytest.fixture
def base(judged_project: JudgedProject) -> str:
    """The project as it was: a model that is off by 0.6."""
    return str(judged_project("base", n=150).root)


def test_nothing_changed_is_neutral(judged_project: JudgedProject, base: str) -> None:
    found = review(judged_project(n=150), base)
    assert (found.conclusion, found.filters) == ("neutral", ())
    assert "No report in this pull request differs from base" in render_comment(found)


def test_a_good_model_is_a_success(judged_project: JudgedProject) -> None:
    found = review(judged_project())
    [report] = found.filters[0].reports
    assert (found.conclusion, report.word) == ("success", "DEPLOY")
    assert report.not_checkable == ("dataset_sha256", "model_sha256")
    gates = found.filters[0].gates
    assert gates["Promotion"] == "open, as far as this checkout can tell"
    assert gates["Labelling"].startswith("closed: calibration_report.md is missing")


def test_a_review_waits_until_it_is_approved(judged_project: JudgedProject) -> None:
    project = judged_project(n=150)
    found = review(project)
    [report] = found.filters[0].reports
    assert found.conclusion == "action_required"
    command = "distillery approve --filter floods:v1 --report model_evaluation.md"
    assert report.command.startswith(command)
    comment = render_comment(found)
    assert "Test articles: 150, wanted &gt;= 200" in comment
    assert "off by 0.60 of 10 points" in comment and command in comment
    floods = load_filter(project.root / HOME)
    approve(project, floods, report="evaluation", who="@ada", why="see #12 <b>")
    found = review(project)
    assert found.conclusion == "success"
    comment = render_comment(found)
    assert "approved by @\u200bada: see \\#\u200b12 &lt;b&gt;" in comment


def test_what_moved_since_the_base(judged_project: JudgedProject, base: str) -> None:
    found = review(judged_project(error=0.9, n=260, dataset_sha256="e" * 64), base)
    [report] = found.filters[0].reports
    assert (report.before, report.word) == ("REVIEW", "DEPLOY")
    moved = {one.title: one for one in report.moved}
    assert moved["Test articles"].better is True
    assert moved["Test articles"].level_before != moved["Test articles"].level_now
    assert moved["Test MAE"].better is False
    assert (moved["Test MAE"].before[:5], moved["Test MAE"].now[:5]) == ("0.600", "0.900")
    assert report.moved[0].title == "Test articles"  # a verdict that changed stands first
    assert "dataset" in report.evidence
    comment = render_comment(found)
    assert "| Test articles | 150 | 260 | better | ⚠️ REVIEW → ✅ DEPLOY |" in comment
    assert f"{report.unmoved} other lines came out as before" in comment


def test_a_fail_is_a_failure(judged_project: JudgedProject) -> None:
    found = review(judged_project(error=3.0))
    assert (found.conclusion, found.filters[0].reports[0].word) == ("failure", "FAIL")
    assert "An approval would mean" not in render_comment(found)


def _edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(home: Path) -> None:
        path = home / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return edit


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_edit("model_evaluation.md", "✅ DEPLOY", "✅  DEPLOY"), "changed after it was written"),
        (_edit("model_evaluation.md", "verdict: DEPLOY", "verdict: REVIEW"), "changed after"),
        (_edit("model_evaluation.json", '"test": 240', '"test": 250'), "record was changed"),
        (lambda home: (home / "model_evaluation.json").write_text("{}"), "schema None"),
        (_edit("prompt.md.j2", "Score", "Rate"), "prompt\\_sha256: the report was made from"),
        (_edit("config.yaml", "harm: {weight: 0.5", "harm: {weigth: 0.5"), "weigth"),
    ],
)
def test_a_report_that_is_edited_stale_or_unreadable_is_a_failure(
    judged_project: JudgedProject, spoil: Callable[[Path], None], said: str
) -> None:
    project = judged_project()
    spoil(project.root / HOME)
    found = review(project)
    assert found.conclusion == "failure"
    comment = render_comment(found)
    assert said in comment
    assert str(project.root) not in comment


def test_a_report_without_its_record_is_judged_and_says_so(judged_project: JudgedProject) -> None:
    project = judged_project()
    (project.root / HOME / "model_evaluation.json").unlink()
    found = review(project)
    assert found.conclusion == "success"
    assert "model\\_evaluation.json is missing" in render_comment(found)


def test_a_report_that_was_removed_is_a_failure(judged_project: JudgedProject, base: str) -> None:
    project = judged_project()
    for path in (project.root / HOME).glob("model_evaluation*"):
        path.unlink() if path.is_file() else shutil.rmtree(path)
    found = review(project, base)
    assert found.conclusion == "failure"
    assert "the report was removed" in render_comment(found)


def test_changed_limits_are_told_first(judged_project: JudgedProject, base: str) -> None:
    project = judged_project(n=150)
    for root in (Path(base), project.root):
        folder = root / "agents/model_evaluation"
        shutil.copytree(Path(__file__).parents[2] / "agents/model_evaluation", folder)
    criteria = project.root / "agents/model_evaluation/criteria.yaml"
    text = criteria.read_text(encoding="utf-8")
    criteria.write_text(text.replace('ok: ">= 200"', 'ok: ">= 100"'), encoding="utf-8")
    found = review(project, base)
    assert found.limits == ("agents/model_evaluation/criteria.yaml",)
    assert "The limits changed in this pull request" in render_comment(found)
    # The report says REVIEW and the new limits DEPLOY: it is not the report of these limits.
    assert found.conclusion == "failure"


def test_hostile_titles_reach_no_mention_reference_or_markup(judged_project: JudgedProject) -> None:
    title = "@everyone #1 <img src=x> [x](https://evil) | a | `b` --> <!-- distillery -->"
    comment = render_comment(review(judged_project(n=150, title=title)))
    assert "Worst articles" in comment
    body = comment.removeprefix(MARKER)
    for hostile in ("@everyone", " #1", "<img", "[x](", "https://evil", "<!--"):
        assert hostile not in body


def test_the_result_of_the_check(judged_project: JudgedProject) -> None:
    result = check_result(review(judged_project(n=150)))
    assert json.loads(json.dumps(result)) == result
    assert (result["conclusion"], result["state"]) == ("action_required", "pending")
    assert result["summary"] == "floods:v1: Model evaluation REVIEW"
    [report] = result["filters"][0]["reports"]
    assert report["because"] == ["Test articles: 150, wanted >= 200"]
    assert report["file"] == "filters/floods/v1/model_evaluation.md"


@pytest.mark.parametrize("count", [60, 900])
def test_a_comment_is_never_longer_than_github_takes(
    judged_project: JudgedProject, count: int
) -> None:
    [one] = review(judged_project(n=150)).filters
    many = Review((*(one for _ in range(count)), FilterReview("bad:v1", "x", problem="broken")))
    comment = render_comment(many)
    assert len(comment) <= 65_536
    assert comment.startswith(MARKER) and "`bad:v1`" in comment  # the worst stands first
    assert ("more filters" in comment) == (count == 900)


def test_rounds_of_calibration_are_told_with_their_cost(calibrated: Project) -> None:
    found = review(calibrated)
    [filter] = found.filters
    assert {report.file.rpartition("/")[2] for report in filter.reports} == {
        "calibration_report.md",
        "validation_report.md",
    }
    assert filter.gates["Promotion"] == "closed: model_evaluation.md is missing"
    assert any("nothing was paid" in line for line in filter.cost)
    assert found.conclusion == "success"  # the validation's REVIEW was approved
    assert "approved by Ada: read it" in render_comment(found)
