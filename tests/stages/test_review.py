"""A person's review over a real project: blind, resumed, in and out as CSV, and what gates make of
it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from distillery_filter_crisis.corpus import articles

from distillery_core.dataset.judgements import JUDGEMENTS_FILE
from distillery_core.errors import UserError, UserErrors
from distillery_core.filters import Filter, resolve_filter
from distillery_core.stages import calibrate, evaluate, gates
from distillery_core.stages.oracles import choose_oracle, oracle_identity
from distillery_core.stages.project import Project
from distillery_core.stages.review import Review, export_table, import_table, open_review
from distillery_core.stages.status import status
from distillery_core.verdicts.gate import GateState

Open = Callable[..., Review]


def crisis(project: Project) -> Filter:
    return resolve_filter("crisis", project.root)


def opened(project: Project, name: str = "Ada", **more: object) -> Review:
    return open_review(project, crisis(project), name=name, **more)  # type: ignore[arg-type]


def gate(project: Project) -> GateState:
    chosen = crisis(project)
    return gates.calibration_gate(
        project, chosen, oracle_identity(chosen, choose_oracle(project, chosen))
    )


def judge_all(review: Review) -> None:
    """As the sample had it."""
    for at, one in enumerate(review.shown):
        review.judge(at, one.article.extra["sample"]["class"])


def test_nothing_is_told_before_it_was_judged(calibrated: Project) -> None:
    review = opened(calibrated)
    assert [review.told(at) for at in range(len(review))] == [None] * 100
    review.judge(0, "edge")
    told = review.told(0)
    assert told is not None
    assert told.class_name == review.shown[0].article.extra["sample"]["class"]
    assert told.scores is not None and set(told.scores) == set(crisis(calibrated).dimensions)
    assert "the oracle: " in told.parts()[-1]
    assert review.told(1) is None
    assert opened(calibrated, "Ben").told(0) is None, "another person is still blind"


def test_it_goes_on_where_it_stopped(calibrated: Project) -> None:
    review = opened(calibrated)
    review.judge(0, "edge", {"scale": 3.0}, "a note")
    review.judge(2, "edge")
    again = opened(calibrated)
    assert (again.judged, again.next_open(), again.next_open(2)) == (2, 1, 3)
    mine = again.mine(0)
    assert mine is not None and (mine.note, mine.scores) == ("a note", {"scale": 3.0})
    again.judge(0, "on_topic")
    assert again.mine(0).scores == {"scale": 3.0}, "scores that were not asked for stay"  # type: ignore[union-attr]


def test_the_same_judgement_twice_is_one_line(calibrated: Project) -> None:
    review = opened(calibrated)
    review.judge(0, "edge")
    review.judge(0, "edge")
    assert len(review.path.read_text(encoding="utf-8").splitlines()) == 1


def test_a_changed_class_closes_the_gate_until_it_is_judged_again(calibrated: Project) -> None:
    assert gate(calibrated).open
    review = opened(calibrated)
    review.judge(0, "edge", {"scale": 5.0})
    state = gate(calibrated)
    assert not state.open
    stale = [reason for reason in state.reasons if "judgements_sha256" in reason]
    assert [reason.split(":")[0] for reason in stale] == ["calibration", "validation"]
    assert "distillery calibrate" in state.next_command
    for kind in ("calibration", "validation"):
        again = calibrate.calibrate(calibrated, crisis(calibrated), round=kind)
        assert again.summary.asked == 0, "nothing is paid for it"
    assert not any("sha256" in reason for reason in gate(calibrated).reasons)
    review.judge(0, "edge", {"scale": 6.0})
    assert not any("sha256" in reason for reason in gate(calibrated).reasons), "no class changed"
    review.path.unlink()
    assert any("judgements_sha256" in reason for reason in gate(calibrated).reasons)


def test_a_judgement_of_the_validation_sample_leaves_the_calibration_alone(
    calibrated: Project,
) -> None:
    opened(calibrated, which="validation").judge(0, "edge")
    reasons = [reason for reason in gate(calibrated).reasons if "judgements_sha256" in reason]
    assert [reason.split(":")[0] for reason in reasons] == ["validation"]


def test_the_report_rests_on_people_where_all_was_judged(calibrated: Project) -> None:
    judge_all(opened(calibrated))
    found = calibrate.calibrate(calibrated, crisis(calibrated))
    assert found.judged.front.numbers["people"]["judged"] == 100
    assert "judged by people (Ada)" in found.judged.report.body
    assert found.judged.front.measurements["classes_reviewed"].value == 1


def test_a_table_that_comes_back_unchanged_changes_nothing(
    calibrated: Project, tmp_path: Path
) -> None:
    review, path = opened(calibrated), tmp_path / "sample.csv"
    review.judge(0, "edge", {"scale": 3.5}, "=1+1")
    assert export_table(review, path) == 100
    before = review.path.read_bytes()
    found = import_table(opened(calibrated), path)
    assert (found.taken, found.unchanged) == (0, 1)
    assert review.path.read_bytes() == before


def edited(path: Path, change: Callable[[dict[str, str]], None]) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        change(row)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_a_table_filled_in_is_taken_whole_or_not_at_all(
    calibrated: Project, tmp_path: Path
) -> None:
    review, path = opened(calibrated), tmp_path / "sample.csv"
    review.judge(0, "edge")
    export_table(review, path)
    edited(path, lambda row: row.update({"class": "off topic"}))
    spoilt = tmp_path / "spoilt.csv"
    spoilt.write_bytes(path.read_bytes().replace(b"off topic", b"offside", 2))
    with pytest.raises(UserErrors) as told:
        import_table(opened(calibrated), spoilt)
    assert len(told.value.errors) == 2
    assert opened(calibrated).judged == 1, "nothing of it was taken"
    found = import_table(opened(calibrated), path)
    assert (found.taken, found.unchanged) == (100, 0)
    mine = opened(calibrated).mine(0)
    assert mine is not None and mine.class_name == "off_topic"


def test_a_table_older_than_a_judgement_does_not_undo_it(
    calibrated: Project, tmp_path: Path
) -> None:
    review, path = opened(calibrated), tmp_path / "sample.csv"
    review.judge(0, "edge")
    export_table(review, path)
    edited(path, lambda row: row.update(date="2020-01-01T00:00:00Z") if row["class"] else None)
    review.judge(0, "on_topic")
    with pytest.raises(UserErrors, match=r"judged lee-\S+ again on"):
        import_table(opened(calibrated), path)


def test_without_a_sample_it_says_how_to_draw_one(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for which, command in (("validation", "sample .*--validate"), ("test", "prepare")):
        with pytest.raises(UserError, match=f"distillery {command}"):
            opened(project, which=which)


def test_any_file_of_articles_can_be_judged(tmp_path: Path, corpus: Path) -> None:
    review = opened(Project(tmp_path), sample=corpus)
    assert len(review) == len(list(articles()))
    review.judge(0, "edge")
    told = review.told(0)
    assert told is not None and told.parts() == ["the oracle has not scored it"]


def test_people_who_disagree_are_listed(calibrated: Project) -> None:
    opened(calibrated).judge(0, "edge")
    opened(calibrated, "Ben").judge(0, "on_topic")
    [one] = opened(calibrated, "Cleo").disagreements()
    assert dict(one.votes) == {"Ada": "edge", "Ben": "on_topic"}
    assert opened(calibrated, which="validation").disagreements() == []


def test_status_says_who_judged_and_what_does_not_count(calibrated: Project) -> None:
    assert "review" not in {state.stage for state in status(calibrated)}
    review = opened(calibrated)
    review.judge(0, "edge")
    [line] = [state for state in status(calibrated) if state.stage == "review"]
    assert (line.state, line.detail) == ("done", "1 articles by Ada")
    with review.path.open("a", encoding="utf-8") as file:
        file.write("{}\n")
    [line] = [state for state in status(calibrated) if state.stage == "review"]
    assert line.state == "broken" and "1 lines cannot be used" in line.detail


def test_the_test_split_is_judged_and_the_evaluation_sets_people_beside_the_student(
    judged: Project,
) -> None:
    review = opened(judged, which="test")
    for at in range(len(review)):
        review.judge(at, "on_topic", dict.fromkeys(review.filter.dimensions, 5.0))
    told = review.told(0)
    assert told is not None and told.overall is not None, "the split holds the oracle's labels"
    found = evaluate.evaluate(judged, crisis(judged), mlflow=False).judged
    people = found.front.numbers["people"]
    assert people["articles"] == len(review)
    assert people["lines"][-1]["student"]["n"] == len(review)
    assert (review.folder / JUDGEMENTS_FILE).is_file()
