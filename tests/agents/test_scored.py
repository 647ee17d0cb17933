from __future__ import annotations

import pytest

from distillery_core.agents.scored import score_sample, valid
from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.labelling.run import Label, Setback
from distillery_core.types import Article

LABEL = Label({"harm": 10.0, "area": 5.0, "loss": 0.0}, "why", {})


def _article(id: str, **sample: str) -> Article:
    return Article(id, "t", f"text {id}", {"sample": {"class": "on_topic", **sample}})


def test_a_sample_is_joined_with_its_answers(floods: Filter) -> None:
    sample = [_article(id) for id in "abcde"]
    answers = {
        "a": LABEL,
        "b": Setback("rejected", "no JSON"),
        "c": Setback("skipped", "too short"),
        "d": Setback("open", ""),
    }
    scored = score_sample(floods, sample, answers)
    states = [one.state for one in scored]
    assert states == ["scored", "rejected", "blocked", "failed", "failed"]
    assert scored[0].overall == pytest.approx(10 * 0.5 + 5 * 0.3)
    assert [one.failure for one in scored[1:]] == ["no JSON", "too short", "open", "not answered"]
    assert [one.article.id for one in valid(scored)] == ["a"]
    assert valid(scored, "off_topic") == []


def test_given_classes_replace_the_samplers(floods: Filter) -> None:
    [one] = score_sample(floods, [_article("a")], {"a": LABEL}, {"a": ("edge", "on the brink")})
    assert (one.class_name, one.class_reason) == ("edge", "on the brink")


@pytest.mark.parametrize("extra", [{}, {"sample": "on_topic"}, {"sample": {"class": "maybe"}}])
def test_an_article_without_a_class_is_refused(floods: Filter, extra: dict[str, object]) -> None:
    with pytest.raises(UserError, match="has no class"):
        score_sample(floods, [Article("a", "t", "text", extra)], {"a": LABEL})


def test_identity_is_the_texts_not_the_ids(floods: Filter) -> None:
    one, other = Article("a", "t", "Big flood!"), Article("b", "t", "big  FLOOD")
    classes = {"a": ("edge", ""), "b": ("edge", "")}
    first, second = score_sample(floods, [one, other], {}, classes)
    assert first.key == second.key
