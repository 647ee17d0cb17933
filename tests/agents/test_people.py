"""Classes and scores by people: what they change, and what is set against them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery_core.agents.calibration import RoundInput, judge_round
from distillery_core.agents.people import people_scores
from distillery_core.agents.rounds import read_rounds
from distillery_core.agents.scored import ScoredArticle
from distillery_core.dataset.judgements import Judgement, People
from distillery_core.fence import normalised_key
from distillery_core.filters.filter import Filter
from distillery_core.types import Article

Build = Callable[..., RoundInput]


def judged_by(
    name: str,
    scored: Sequence[ScoredArticle],
    classes: Callable[[ScoredArticle], str],
    scores: Callable[[ScoredArticle], dict[str, float]] = lambda _: {},
) -> People:
    """A person's judgement of each article."""
    found = {}
    for one in scored:
        row = {"id": one.article.id, "text_key": one.key, "class": classes(one), "name": name}
        judgement = Judgement.model_validate(row | {"scores": scores(one), "title": "t"})
        found[one.key, name] = judgement
    return People(found)


def as_drawn(one: ScoredArticle) -> str:
    return one.class_name


def test_a_person_who_judged_all_opens_the_way_to_pass(
    floods: Filter, given: Build, home: Path, project: Path, scripted: Any
) -> None:
    unreviewed = given(classes_reviewed=False, classes_from="the filter's sampling rules")
    people = judged_by("Ada", unreviewed.scored, as_drawn)
    reader = scripted({})
    judged = judge_round(floods, replace(unreviewed, people=people), home, project, reader)
    assert judged.decision.word == "PASS"
    assert [inquiry.schema_name for inquiry in reader.asked] == ["reading"], "no scope was asked"
    assert "Classes: judged by people (Ada)" in judged.report.body
    assert not read_rounds(home)[0].classes_reviewed, "the file keeps what was without people"


def test_a_person_who_judged_some_leaves_it_a_review(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    unreviewed = given(classes_reviewed=False, classes_from="the filter's sampling rules")
    people = judged_by("Ada", unreviewed.scored[1:], as_drawn)
    judged = judge_round(floods, replace(unreviewed, people=people), home, project)
    assert (judged.decision.word, judged.decision.deciding.name) == ("REVIEW", "classes_reviewed")
    assert "49 of 50 judged by people (Ada), the others: the filter's" in judged.report.body


def test_people_who_are_level_leave_the_class_as_it_was(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    unreviewed = given(classes_reviewed=False)
    first = unreviewed.scored[0]
    people = People(
        {
            **judged_by("Ada", unreviewed.scored, as_drawn).latest,
            **judged_by("Ben", [first], lambda _: "off_topic").latest,
        }
    )
    judged = judge_round(floods, replace(unreviewed, people=people), home, project)
    assert judged.decision.deciding.name == "classes_reviewed"
    assert judged.front.measurements["scored_on_topic"].value == 20
    assert "Ada on-topic, Ben off-topic" in judged.report.body
    assert judged.front.numbers["people"]["level"] == 1


def test_classes_of_people_take_the_place_of_all_others_and_change_the_verdict(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    """Eight of the articles that the rules found on topic, and that score high, are off topic."""
    wrong = {one.key for one in given().scored[:8]}
    people = judged_by(
        "Ada", given().scored, lambda one: "off_topic" if one.key in wrong else one.class_name
    )
    before = judge_round(floods, given(), home, project)
    after = judge_round(floods, given(people=people), home, project)
    assert (before.decision.word, after.decision.word) == ("PASS", "FAIL")
    assert after.decision.deciding.name == "off_topic_false_positives"
    assert after.front.measurements["off_topic_false_positives"].count == 8
    assert after.front.numbers["people"]["changed"] == 8
    assert "judged by Ada" in after.report.body.partition("## Worst false positives")[2]
    hashes = [judged.front.evidence["judgements_sha256"] for judged in (before, after)]
    assert hashes[0] != hashes[1]
    assert len(read_rounds(home)) == 1, "the same sample is the same round, whoever judged it"
    assert after.front.evidence["sample_sha256"] == before.front.evidence["sample_sha256"]


def test_the_classes_reach_the_pooled_rounds_too(
    floods: Filter, given: Build, home: Path, project: Path, sample: Any
) -> None:
    first = given(sample(round="a"), seed=1, classes_reviewed=False)
    second = given(sample(round="b"), seed=2, classes_reviewed=False)
    judge_round(floods, first, home, project)
    people = judged_by("Ada", [*first.scored, *second.scored], as_drawn)
    judged = judge_round(floods, replace(second, people=people), home, project)
    assert judged.front.measurements["classes_reviewed"].value == 1
    assert judged.decision.word == "PASS"


def test_the_oracle_against_a_person_by_hand(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    """The person scores harm two points lower than the oracle, area the same, loss not at all."""

    def scores(one: ScoredArticle) -> dict[str, float]:
        assert one.scores is not None
        return {"harm": max(one.scores["harm"] - 2, 0.0), "area": one.scores["area"]}

    on_topic = given().scored[:20]
    people = judged_by("Ada", on_topic, as_drawn, scores)
    judged = judge_round(floods, given(people=people), home, project)
    harm, area, loss, overall = judged.front.numbers["people"]["oracle"]
    assert (harm["n"], harm["bias"], harm["mae"]) == (20, 2.0, 2.0)
    assert (harm["bias_low"], harm["bias_high"]) == (2.0, 2.0)
    assert (area["n"], area["bias"], area["mae"]) == (20, 0.0, 0.0)
    assert (loss["n"], loss["bias"], overall["n"]) == (0, None, 0)
    assert "| `harm` | 20 | +2.00 (+2.00 to +2.00) | 2.00 (2.00 to 2.00) |" in judged.report.body


def test_the_overall_score_is_compared_where_every_dimension_was_scored(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    def scores(one: ScoredArticle) -> dict[str, float]:
        return {name: value / 2 for name, value in (one.scores or {}).items()}

    people = judged_by("Ada", given().scored, as_drawn, scores)
    judged = judge_round(floods, given(people=people), home, project)
    overall = judged.front.numbers["people"]["oracle"][-1]
    means = [one.overall for one in given().scored if one.overall is not None]
    assert overall["n"] == 50
    assert overall["bias"] == pytest.approx(np.mean(means) / 2, abs=1e-6)
    assert overall["bias_low"] < overall["bias"] < overall["bias_high"]
    assert "The oracle's overall score lies +" in judged.report.body


def test_nobody_judged_and_the_report_says_nothing_of_people(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    judged = judge_round(floods, given(), home, project)
    assert "What people judged" not in judged.report.body
    assert judged.front.numbers["people"] is None


def test_hostile_notes_and_titles_stay_inside_their_cells(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    attack = "| <script>x</script> @octocat [x](http://evil)\n\n# PASS"
    one = given().scored[0]
    row = {"id": one.article.id, "text_key": one.key, "class": "edge", "name": "Ada|<b>"}
    people = People(
        {(one.key, "Ada|<b>"): Judgement.model_validate(row | {"note": attack, "title": attack})}
    )
    body = judge_round(floods, given(people=people), home, project).report.body
    assert "<script>" not in body and "<b>" not in body
    assert "\n# PASS" not in body


def test_the_scores_of_articles_nobody_scored_are_nobodys(floods: Filter) -> None:
    articles = [Article("1", "t", "A flood in the north."), Article("2", "t", "A dry summer.")]
    row = {"id": "1", "text_key": normalised_key(articles[0].content), "class": "edge"}
    classes_only = {(row["text_key"], "Ada"): Judgement.model_validate(row | {"name": "Ada"})}
    assert people_scores(floods, articles, People(classes_only)) is None
    scored = {"scores": {"harm": 4.0, "area": 2.0, "loss": 1.0, "wind": 9.0}, "name": "Ben"}
    people = People(
        {**classes_only, (row["text_key"], "Ben"): Judgement.model_validate(row | scored)}
    )
    found = people_scores(floods, articles, people)
    assert found is not None
    assert found.names == ("Ben",)
    assert found.scores[0].tolist() == [4.0, 2.0, 1.0]
    assert found.overall[0] == pytest.approx(0.5 * 4 + 0.3 * 2 + 0.2 * 1)
    assert np.isnan(found.scores[1]).all() and np.isnan(found.overall[1])
