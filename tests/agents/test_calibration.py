from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distillery_core.agents.calibration import judge_round
from distillery_core.agents.rounds import read_rounds
from distillery_core.agents.scored import score_sample
from distillery_core.filters.filter import Filter
from distillery_core.labelling.run import Label, Setback
from distillery_core.types import Article, Level
from distillery_core.verdicts.criteria import load_criteria
from distillery_core.verdicts.front_matter import read_report
from distillery_core.verdicts.gate import check_report

Build = Callable[..., Any]


def _good(number: int, name: str) -> tuple[float, ...]:
    shift = (number % 3) / 2
    high, low = (9.0 - shift, 6.0, 5.0 + shift), (shift, 0.0, 0.5)
    return {"on_topic": high, "edge": (5.0, 2.0 + shift, 4.5), "off_topic": low}[name]


def _eight_in_ten_wrong(number: int, name: str) -> tuple[float, ...]:
    wrong = name == "off_topic" and number % 5 != 0
    return (9.0, 6.0, 5.5) if wrong else _good(number, name)


def test_a_fit_prompt_passes_and_the_gate_opens(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    judged = judge_round(floods, given(), home, project)
    assert judged.decision.word == "PASS"
    assert judged.report_path == home / "calibration_report.md"
    criteria = load_criteria("prompt_calibration", project).for_round("calibration")
    expected = {
        "prompt_sha256": floods.prompt_sha256,
        "text_view_sha256": floods.text_view_sha256,
        "dimensions_sha256": floods.dimensions_sha256,
        "oracle": "recorded",
    }
    assert check_report(judged.report_path, criteria, expected).open
    assert not check_report(judged.report_path, criteria, {**expected, "oracle": "other"}).open


def test_the_report_says_what_the_criteria_ask_for(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    judged = judge_round(floods, given(remaining=1000), home, project)
    body = judged.report.body
    assert body.startswith("# Prompt calibration of floods:v1, calibration round: ✅ PASS\n")
    assert "Deciding line: Every line" in body
    assert "recorded, nothing was paid; would have cost about $0.0500" in body
    assert "**Agent's reading:** not read by a model" in body
    assert "| on-topic | 20 | 20 | 20 |" in body
    assert "| 4.5 | 0.0 % |" in body and "| 5.5 |" in body  # the cut half a point to each side
    assert "AUC 1.000" in body
    assert "| labelling the remaining 1,000 articles | $1.00 |" in body
    assert "| to fix: this sample again, then a fresh validation sample | $0.10 |" in body
    assert "What the model read" not in body
    front = judged.front
    assert front.counts["off_topic_scored"] == 20
    assert front.numbers["auc"] == 1.0
    assert front.numbers["costs"]["paid"] is False


def test_the_same_evidence_gives_the_same_bytes(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    first = judge_round(floods, given(), home, project).report_path.read_bytes()
    assert judge_round(floods, given(), home, project).report_path.read_bytes() == first
    assert len(read_rounds(home)) == 1


@pytest.mark.parametrize(
    ("score", "line"),
    [
        (lambda *_: (7.0, 7.0, 7.0), "off_topic_false_positives"),
        (lambda n, name: (_good(n, name)[0],) * 3, "dimension_variance"),
        (lambda n, name: (*_good(n, name)[:2], 4.0), "constant_dimensions"),
        (_eight_in_ten_wrong, "off_topic_false_positives"),
        (
            lambda n, name: Setback("failed", "timeout") if n % 5 == 0 else _good(n, name),
            "answered_and_valid",
        ),
    ],
    ids=["everything 7", "one dimension copied", "constant", "80 % wrong", "a fifth unanswered"],
)
def test_an_unfit_oracle_fails_by_the_line_that_names_it(
    floods: Filter, given: Build, sample: Build, home: Path, project: Path, score: Any, line: str
) -> None:
    judged = judge_round(floods, given(sample(score)), home, project)
    assert judged.decision.word == "FAIL"
    assert line in {result.name for result in judged.decision.because}


def test_a_prompt_that_sends_no_article_fails(
    floods: Filter, given: Build, sample: Build, home: Path, project: Path
) -> None:
    blind = sample(explain=lambda _: "a severe flood with many people hurt")
    judged = judge_round(floods, given(blind), home, project)
    assert judged.decision.word == "FAIL"
    assert judged.decision.deciding.name == "grounding_lift"
    assert "See whether the article reaches the oracle" in judged.report.body


def test_whatever_the_reader_writes_eighty_percent_wrong_is_a_fail(
    floods: Filter, given: Build, sample: Build, home: Path, project: Path, scripted: Any
) -> None:
    praise = {
        "summary": "Excellent. PASS.",
        "root_causes": [],
        "recommendations": ["Ship it"],
        "prompt_edits": [],
        "diagnoses": [],
        "lower_to": "PASS",
        "lower_reason": "all is well",
    }
    judged = judge_round(
        floods, given(sample(_eight_in_ten_wrong)), home, project, scripted({"reading": praise})
    )
    assert judged.decision.word == "FAIL"
    assert "asked for PASS, ignored: a reading cannot raise a verdict" in judged.report.body
    assert judged.front.lowered is not None


def test_a_reader_may_lower_with_a_reason(
    floods: Filter, given: Build, home: Path, project: Path, scripted: Any
) -> None:
    answer = {
        "summary": "Explanations quote, they do not argue.",
        "root_causes": ["no scale"],
        "recommendations": ["Add a scale"],
        "prompt_edits": [{"find": "Score", "replace": "Score by evidence", "why": "clearer"}],
        "diagnoses": [],
        "lower_to": "REVIEW",
        "lower_reason": "reasons do not support the scores",
    }
    reader = scripted({"reading": answer})
    judged = judge_round(floods, given(), home, project, reader)
    assert (judged.decision.word, judged.decision.deciding.name) == ("REVIEW", "reading")
    assert judged.decision.computed is Level.OK
    assert "lowered to REVIEW by scripted" in judged.report.body
    assert "**Lowered by scripted:** reasons do not support the scores" in judged.report.body
    assert "\n+Score by evidence {{ dimensions" in judged.report.body
    [inquiry] = reader.asked
    assert "<article>" in inquiry.questions[0].user
    assert read_report(judged.report_path).front.lowered == judged.front.lowered


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"summary": "x", "lower_to": "REVIEW", "lower_reason": ""},
        {"summary": "x", "lower_to": "SUPER", "lower_reason": "y"},
        {"summary": "x", "verdict": "PASS"},
        {"root_causes": []},
    ],
)
def test_an_unusable_reading_is_no_reading(
    floods: Filter, given: Build, home: Path, project: Path, scripted: Any, answer: Any
) -> None:
    judged = judge_round(floods, given(), home, project, scripted({"reading": answer}))
    assert judged.decision.word == "PASS"
    assert "scripted was asked to read, without a usable answer" in judged.report.body
    assert judged.front.numbers["reading"] is None


def test_classes_by_rules_alone_are_a_review_until_a_reader_judged_them_blindly(
    floods: Filter, given: Build, home: Path, project: Path, scripted: Any
) -> None:
    unreviewed = given(classes_reviewed=False)
    alone = judge_round(floods, unreviewed, home, project)
    assert (alone.decision.word, alone.decision.deciding.name) == ("REVIEW", "classes_reviewed")

    def scope(question: Any) -> dict[str, str]:
        number = int(question.subject[1:])
        name = "on_topic" if number < 20 else "off_topic" if number < 40 else "edge"
        return {"class": name, "reason": "its main event"}

    reader = scripted({"scope": scope})
    judged = judge_round(floods, unreviewed, home, project, reader)
    assert judged.decision.word == "PASS"
    shown = reader.asked[0].questions[0]
    assert "word" in shown.user and "9.0" not in shown.user + shown.system  # no score is shown
    assert "judged by scripted, which saw no score" in judged.report.body


def test_hostile_titles_and_words_stay_inside_their_cells(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    title = "Flood | <script>alert(1)</script> @octocat [x](http://evil)\n\n# PASS `"
    articles = [
        Article(f"a|{i}`", title, f"text {i}", {"sample": {"class": "off_topic", "reason": title}})
        for i in range(6)
    ]
    answers = {
        one.id: Label({"harm": 9.0, "area": 8.0, "loss": 7.0 + (i % 2)}, title, {})
        for i, one in enumerate(articles)
    }
    judged = judge_round(floods, given(score_sample(floods, articles, answers)), home, project)
    body = judged.report.body
    assert "<script" not in body and "http://" not in body and "@octocat" not in body
    assert "\n# PASS" not in body
    rows = [line for line in body.splitlines() if "alert" in line]
    assert rows and all(line.count("|") == 5 for line in rows)


def test_samples_of_one_prompt_are_judged_together(
    floods: Filter, given: Build, sample: Build, home: Path, project: Path
) -> None:
    bad = given(sample(_eight_in_ten_wrong), seed=1)
    assert judge_round(floods, bad, home, project).decision.word == "FAIL"
    lucky = given(sample(round="b"), seed=2)
    judged = judge_round(floods, lucky, home, project)
    pooled = judged.front.measurements["off_topic_false_positives"]
    assert (pooled.count, pooled.n) == (16, 40)
    assert judged.decision.word == "FAIL"
    assert "judged together" in judged.report.body
    assert [one["seed"] for one in judged.front.numbers["pool"]] == [1, 2]


def test_a_changed_prompt_starts_a_new_pool(
    make_filter: Build, given: Build, sample: Build, project: Path
) -> None:
    first = make_filter()
    judge_round(first, given(sample(_eight_in_ten_wrong)), first.folder, project)
    better = make_filter(prompt="Be strict.\n{{ article }}\n")
    judged = judge_round(better, given(sample(filter=better)), better.folder, project)
    assert judged.decision.word == "PASS"
    assert judged.front.numbers["rounds_so_far"] == 2


def test_moved_cuts_lower_the_verdict_on_articles_already_scored(
    make_filter: Build, given: Build, sample: Build, project: Path
) -> None:
    first = make_filter()
    judge_round(first, given(sample(_eight_in_ten_wrong)), first.folder, project)
    moved = make_filter(
        cut=("on_topic_at: 5.0, severe_at: 7.0", "on_topic_at: 4.8, severe_at: 8.0")
    )
    judged = judge_round(moved, given(sample(filter=moved)), moved.folder, project)
    assert judged.decision.word == "REVIEW"
    assert "the cuts were 5/7 when these articles were first scored" in judged.report.body


def test_earlier_samples_are_scored_again_by_todays_weights(
    make_filter: Build, given: Build, sample: Build, project: Path
) -> None:
    first = make_filter()
    judge_round(first, given(sample(round="b"), seed=1), first.folder, project)
    flat = make_filter(
        harm=("harm: {weight: 0.5", "harm: {weight: 0.0"),
        area=("area: {weight: 0.3", "area: {weight: 0.0"),
        loss=("loss: {weight: 0.2", "loss: {weight: 1.0"),
    )
    judged = judge_round(flat, given(sample(filter=flat), seed=2), flat.folder, project)
    means = {one["name"]: one["mean"] for one in judged.front.numbers["classes"]}
    assert means["off_topic"] == 0.5  # by the new weights in both samples
    assert judged.front.measurements["off_topic_false_positives"].n == 40


def test_tuning_one_sample_again_and_again_is_noted(
    make_filter: Build, given: Build, sample: Build, project: Path
) -> None:
    judged = None
    for number in range(4):
        filter = make_filter(prompt=f"Attempt {number}.\n{{{{ article }}}}\n")
        judged = judge_round(filter, given(sample(filter=filter)), filter.folder, project)
    assert judged is not None
    assert "has been tuned with 4 prompts" in judged.report.body
    assert judged.decision.word == "PASS"


def _validate(filter: Filter, given: Build, scored: Any, project: Path, **more: Any) -> Any:
    round = given(scored, kind="validation", seed=2025, **more)
    return judge_round(filter, round, filter.folder, project)


def test_a_validation_without_a_calibration_is_insufficient_evidence(
    floods: Filter, given: Build, sample: Build, project: Path
) -> None:
    judged = _validate(floods, given, sample(round="v"), project)
    assert judged.decision.word == "REVIEW"
    assert judged.decision.deciding.name == "false_positives_worse"
    assert judged.report_path.name == "validation_report.md"


def test_a_fresh_validation_like_its_calibration_passes(
    floods: Filter, given: Build, sample: Build, project: Path
) -> None:
    judge_round(floods, given(), floods.folder, project)
    judged = _validate(floods, given, sample(round="v"), project)
    assert judged.decision.word == "PASS"
    assert judged.front.numbers["rounds_so_far"] == 2


def test_overfitting_is_a_fail(floods: Filter, given: Build, sample: Build, project: Path) -> None:
    judge_round(floods, given(), floods.folder, project)
    judged = _validate(floods, given, sample(_eight_in_ten_wrong, round="v"), project)
    assert judged.decision.word == "FAIL"
    assert "false_positives_worse" in {line.name for line in judged.decision.because}


def test_a_validation_sample_must_be_new(
    floods: Filter, given: Build, sample: Build, project: Path
) -> None:
    calibration = given()
    judge_round(floods, calibration, floods.folder, project)
    judged = _validate(floods, given, sample(), project)
    assert judged.decision.word == "FAIL"
    assert judged.front.measurements["shared_with_earlier_rounds"].value == 50


def test_near_duplicates_of_earlier_articles_are_found_where_their_texts_are_at_hand(
    floods: Filter, given: Build, sample: Build, project: Path
) -> None:
    judge_round(floods, given(), floods.folder, project)
    fresh = sample(round="v")
    old = sample()[0].article
    nearly = replace(fresh[0].article, content=old.content + " and a word more")
    changed = [replace(fresh[0], article=nearly), *fresh[1:]]
    seen = _validate(floods, given, changed, project, earlier_contents=[old.content])
    assert seen.front.measurements["shared_with_earlier_rounds"].value == 1
    assert (
        "49 of them by identity only" in seen.front.measurements["shared_with_earlier_rounds"].note
    )


def test_a_spent_validation_sample_is_no_longer_fresh(
    make_filter: Build, given: Build, sample: Build, project: Path
) -> None:
    first = make_filter()
    judge_round(first, given(), first.folder, project)
    assert _validate(first, given, sample(round="v"), project).decision.word == "PASS"
    tuned = make_filter(prompt="Tuned after validation.\n{{ article }}\n")
    judge_round(tuned, given(sample(filter=tuned)), tuned.folder, project)
    again = _validate(tuned, given, sample(round="v", filter=tuned), project)
    assert again.decision.word == "FAIL"
    assert again.front.measurements["shared_with_earlier_rounds"].value == 50


def test_validating_again_is_the_same_round(
    floods: Filter, given: Build, sample: Build, project: Path
) -> None:
    judge_round(floods, given(), floods.folder, project)
    first = _validate(floods, given, sample(round="v"), project).report_path.read_bytes()
    assert _validate(floods, given, sample(round="v"), project).report_path.read_bytes() == first


def test_a_filter_may_set_its_own_limits_with_a_reason(
    make_filter: Build, given: Build, sample: Build, project: Path
) -> None:
    filter = make_filter(
        own=(
            "severe_at: 7.0}",
            'severe_at: 7.0, criteria: {scored_edge: {ok: ">= 15", reason: many edges}}}',
        )
    )
    judged = judge_round(filter, given(sample(filter=filter)), filter.folder, project)
    assert (judged.decision.word, judged.decision.deciding.name) == ("REVIEW", "scored_edge")
    assert "limits changed by the filter" in judged.report.body
