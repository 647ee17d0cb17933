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
from distillery_core.labelling.projection import Projection, limited, project_cost, with_calls
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


def test_says_that_a_recording_is_not_paid(
    storm: Filter, serve: Make, spec_for: Make, articles: Make
) -> None:
    line = project_cost(storm, articles(3), 3, spec_for(serve(), paid=False)).line()
    assert "nothing is paid" in line


def test_unknown_price_refuses(storm: Filter, serve: Make, spec_for: Make) -> None:
    with pytest.raises(UserError, match="no price"):
        project_cost(storm, [], 0, spec_for(serve(), price=None))


def test_fewer_and_further_calls_cost_the_same_a_call() -> None:
    whole = Projection(100, 80, 500, 60, 0.8, 1.6, True, "measured")
    assert limited(whole, None) is whole
    assert limited(whole, 90) is whole
    part = limited(whole, 20)
    assert (part.articles, part.to_ask, part.low_usd) == (20, 20, pytest.approx(0.2))
    more = with_calls(part, 21)
    assert (more.to_ask, more.high_usd) == (41, pytest.approx(0.82))
    assert with_calls(limited(whole, 0), 3).high_usd == 0
