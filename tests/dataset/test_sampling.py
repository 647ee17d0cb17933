"""The draw: stratified, the same for the same seed, fresh for another, never a silent shortfall."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.dataset.classes import Classified
from distillery_core.dataset.sampling import Sample, draw_sample, refuse_short
from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters.filter import Filter
from distillery_core.types import Article

Prose = Callable[..., str]


def corpus(prose: Prose, size: int = 300) -> list[Article]:
    """A third of each class."""
    words = ["flood", "drizzle", "sunshine"]
    return [
        Article(f"a{n}", "", f"{words[n % 3]} {prose(n)}", {"url": f"u{n}"}) for n in range(size)
    ]


def draw(filter: Filter, articles: list[Article], seed: int = 1, **more: Any) -> Sample:
    options: dict[str, Any] = {
        "n_positive": 10,
        "n_negative": 10,
        "n_edge": 5,
        "round": "calibration",
    }
    return draw_sample(filter, articles, seed=seed, **(options | more))


def ids(sample: Sample) -> list[str]:
    return [article.id for article in sample.articles]


def test_each_article_carries_class_reason_seed_and_round(flood: Filter, prose: Prose) -> None:
    sample = draw(flood, corpus(prose), seed=2024)
    assert sample.drawn == {"on_topic": 10, "off_topic": 10, "edge": 5}
    assert sample.available == {"on_topic": 100, "off_topic": 100, "edge": 100}
    assert Counter(a.extra["sample"]["class"] for a in sample.articles) == sample.drawn
    article = next(a for a in sample.articles if a.extra["sample"]["class"] == "on_topic")
    assert article.extra["sample"] == {
        "class": "on_topic",
        "reason": "keyword 'flood'",
        "by": "rules",
        "seed": 2024,
        "round": "calibration",
    }
    assert article.extra["url"]
    refuse_short(sample)


def test_the_order_of_the_input_does_not_matter_and_the_seed_does(
    flood: Filter, prose: Prose
) -> None:
    articles = corpus(prose)
    shuffled = random.Random(3).sample(articles, len(articles))
    assert ids(draw(flood, articles)) == ids(draw(flood, shuffled))
    assert set(ids(draw(flood, articles))) != set(ids(draw(flood, articles, seed=2)))


def test_a_fresh_sample_shares_no_text_with_earlier_rounds(flood: Filter, prose: Prose) -> None:
    articles = corpus(prose, 90)
    first = draw(flood, articles)
    # The corpus also holds every drawn article again: edited a little, under another id.
    edited = [
        Article(f"copy-{a.id}", "", a.content.replace(a.content.split()[5], "changed"))
        for a in first.articles
    ]
    fresh = draw(flood, [*articles, *edited], seed=2, exclude=first.articles)
    assert not set(ids(fresh)) & set(ids(first))
    assert not [name for name in ids(fresh) if name.startswith("copy-")]
    assert fresh.shortfall == {}
    assert fresh.passed_over["in an earlier round, or nearly the same"] > 0


def test_near_duplicates_are_drawn_once(flood: Filter, prose: Prose) -> None:
    same = [Article(f"s{n}", "", f"flood {prose(1)} ending {n}") for n in range(30)]
    sample = draw(flood, [*same, *corpus(prose)[::3][:5]])
    assert sample.drawn["on_topic"] == 6
    assert sample.shortfall["on_topic"] == 4
    assert sample.passed_over["nearly the same as another drawn article"] == 29


def test_a_shortfall_is_returned_and_can_be_refused(flood: Filter, prose: Prose) -> None:
    sample = draw(flood, corpus(prose, 9), n_edge=4)
    assert sample.shortfall == {"on_topic": 7, "off_topic": 7, "edge": 1}
    with pytest.raises(CheckFailed, match="on_topic: asked 10, drawn 3 of 3 found"):
        refuse_short(sample)


def test_junk_and_blocked_articles_are_no_candidates(
    flood: Filter, prose: Prose, tmp_path: Path
) -> None:
    blocking = flood.model_copy(
        update={"prefilter": flood.prefilter.model_copy(update={"min_chars": 400})}
    )
    articles = [
        Article("junk", "", "flood flood"),
        Article("short", "", "flood " + prose(1, words=25)),
        Article("good", "", "flood " + prose(2)),
    ]
    sample = draw(blocking, articles)
    assert ids(sample) == ["good"]
    assert sample.passed_over == {"junk: too short": 1, "blocked by the pre-filter": 1}
    assert len(draw(blocking, articles, apply_prefilter=False).articles) == 2


def test_reviewed_classes_win_and_unreviewed_articles_are_passed_over(
    flood: Filter, prose: Prose
) -> None:
    articles = corpus(prose, 6)
    classes = {"a0": Classified("off_topic", "a flood of words", "review")}
    sample = draw(flood, articles, classes=classes)
    (article,) = sample.articles
    assert article.extra["sample"]["class"] == "off_topic"
    assert article.extra["sample"]["by"] == "review"
    assert sample.passed_over == {"no reviewed class": 5}


def test_a_filter_without_rules_is_refused(flood: Filter, prose: Prose) -> None:
    sampling = flood.config.sampling.model_copy(
        update={"on_topic": type(flood.config.sampling.on_topic)()}
    )
    bare = flood.model_copy(
        update={"config": flood.config.model_copy(update={"sampling": sampling})}
    )
    with pytest.raises(UserError, match=r"no sampling.on_topic(?s:.)*classes_file"):
        draw(bare, corpus(prose))


def test_a_filter_without_an_edge_asks_for_none(flood: Filter, prose: Prose) -> None:
    sampling = flood.config.sampling.model_copy(update={"has_edge": False})
    filter = flood.model_copy(
        update={"config": flood.config.model_copy(update={"sampling": sampling})}
    )
    sample = draw(filter, corpus(prose))
    assert sample.drawn["edge"] == 0
    assert sample.shortfall == {}
