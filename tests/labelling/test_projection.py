"""The projection: a range before the first call, measured once there are answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distillery_core.errors import UserError
from distillery_core.filters import Filter
from distillery_core.labelling import label_file
from distillery_core.labelling.projection import (
    Projection,
    limited,
    project_cost,
    tokens_of,
)
from distillery_core.oracle.ledger import Ledger

Make = Callable[..., Any]


def test_range_encloses_what_it_cost_and_narrows_once_measured(
    storm: Filter, project: Path, serve: Make, spec_for: Make, corpus: Make, articles: Make
) -> None:
    spec = spec_for(serve())
    before = project_cost(storm, articles(50), 50, spec)
    assert before.to_ask == 50
    assert "guessed" in before.basis
    summary = label_file(storm, corpus(50), project / "o.jsonl", spec=spec, project=project)
    assert before.low_usd < summary.money.spent_usd < before.high_usd
    with Ledger.open(project / ".distillery" / "ledger.sqlite") as ledger:
        after = project_cost(storm, articles(50), 150, spec, ledger)
    assert after.to_ask == 100
    assert "measured on 50 answers" in after.basis
    assert after.low_usd < 2 * summary.money.spent_usd < after.high_usd
    assert after.high_usd - after.low_usd < 2 * (before.high_usd - before.low_usd)


def test_answers_to_other_articles_and_of_other_models_are_not_counted(
    storm: Filter, project: Path, serve: Make, spec_for: Make, corpus: Make, articles: Make
) -> None:
    spec = spec_for(serve())
    label_file(storm, corpus(30), project / "o.jsonl", spec=spec, project=project)
    others = [replace(article, id=f"other-{article.id}") for article in articles(30)]
    with Ledger.open(project / ".distillery" / "ledger.sqlite") as ledger:
        assert project_cost(storm, articles(30), 30, spec, ledger).to_ask == 0
        assert project_cost(storm, others, 30, spec, ledger).to_ask == 30
        another = spec.model_copy(update={"model": "another"})
        assert project_cost(storm, articles(30), 30, another, ledger).to_ask == 30


def test_answers_to_the_same_question_asked_otherwise_do_not_count(
    storm: Filter, project: Path, serve: Make, spec_for: Make, corpus: Make, articles: Make
) -> None:
    """Another temperature, output limit or address asks everything again, and the money says so."""
    spec = spec_for(serve())
    label_file(storm, corpus(30), project / "o.jsonl", spec=spec, project=project)
    oracle = storm.config.oracle.model_copy(update={"max_output_tokens": 400})
    longer = storm.model_copy(update={"config": storm.config.model_copy(update={"oracle": oracle})})
    elsewhere = spec.model_copy(update={"base_url": "http://127.0.0.1:9/v1"})
    seeded = spec.model_copy(update={"extra_body": {"seed": 1}})
    unasked = spec.model_copy(update={"api_key_env": "DISTILLERY_NO_SUCH_KEY"})
    with Ledger.open(project / ".distillery" / "ledger.sqlite") as ledger:
        assert project_cost(storm, articles(30), 30, spec, ledger).to_ask == 0
        for filter, changed in (
            (longer, spec), (storm, elsewhere), (storm, seeded), (storm, unasked)
        ):  # fmt: skip
            projected = project_cost(filter, articles(30), 30, changed, ledger)
            assert projected.to_ask == 30
            assert "measured on 30 answers" in projected.basis


def test_tokens_are_estimated_by_script() -> None:
    english, chinese, russian = (
        "The storm hit the coast. " * 40,
        "風暴襲擊海岸。" * 40,
        "Шторм " * 40,
    )
    for text, near in ((english, 5.0), (chinese, 1.2), (russian, 2.5)):
        few, many = tokens_of(text)
        assert few <= len(text) / near <= many * 1.01


def test_says_that_a_recording_is_not_paid(
    storm: Filter, serve: Make, spec_for: Make, articles: Make
) -> None:
    line = project_cost(storm, articles(3), 3, spec_for(serve(), paid=False)).line()
    assert "nothing is paid" in line


def test_unknown_price_refuses(storm: Filter, serve: Make, spec_for: Make) -> None:
    with pytest.raises(UserError, match="no price"):
        project_cost(storm, [], 0, spec_for(serve(), price=None))


def test_fewer_calls_cost_the_same_a_call() -> None:
    whole = Projection(100, 80, 500, 60, 0.8, 1.6, True, "measured")
    assert limited(whole, None) is whole
    assert limited(whole, 90) is whole
    part = limited(whole, 20)
    assert (part.articles, part.to_ask, part.low_usd) == (20, 20, pytest.approx(0.2))
