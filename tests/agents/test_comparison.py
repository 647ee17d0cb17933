from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from distillery_core.agents.comparison import (
    Comparison,
    Side,
    compare,
    headline,
    mcnemar_exact,
)
from distillery_core.agents.definition import load_agent
from distillery_core.filters.filter import Filter
from distillery_core.labelling.run import Setback
from tests.agents.conftest import good_scores

Build = Callable[..., Any]


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (10, 2, 0.0386), (9, 3, 0.146)],
)
def test_mcnemar_exact_is_the_binomial_test(only_a: int, only_b: int, p: float) -> None:
    assert mcnemar_exact(only_a, only_b) == pytest.approx(p, abs=5e-4)


@settings(deadline=None)
@examples(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_scipy_and_knows_no_side(only_a: int, only_b: int) -> None:
    from scipy.stats import binomtest

    p = mcnemar_exact(only_a, only_b)
    assert p == mcnemar_exact(only_b, only_a)
    n = only_a + only_b
    assert p == pytest.approx(binomtest(only_a, n).pvalue if n else 1.0)


def test_the_more_one_sided_the_smaller_p() -> None:
    ps = [mcnemar_exact(k, 12 - k) for k in range(7)]
    assert all(a < b for a, b in pairwise(ps))


@pytest.fixture
def compared(floods: Filter, sample: Build, project: Path) -> Callable[..., Comparison]:
    """Compares the oracle under two prompts, each given by its scores."""

    def build(a: Any = None, b: Any = None, **more: Any) -> Comparison:
        table = load_agent("prompt_calibration", project).criteria.for_round("calibration")
        sides = [
            Side(floods, sample(score, n=(40, 40, 10), **more), 0.09 * at)
            for at, score in enumerate((a, b), 1)
        ]
        return compare(*sides, table, classes_reviewed=True)

    return build


def _wrong(*numbers: int) -> Any:
    """Off-topic articles (40-79) of these numbers scored high."""
    high = (9.0, 6.0, 5.5)
    return lambda n, name: (
        high if name == "off_topic" and n - 40 in numbers else good_scores(n, name)
    )


def test_fewer_false_positives_are_shown_with_their_counts(compared: Build) -> None:
    found = compared(_wrong(*range(9)), _wrong(0, 1, 2))
    first = found.errors[0]
    assert (first.a, first.b, first.n, first.only_a, first.only_b) == (9, 3, 40, 6, 0)
    assert first.p_value == pytest.approx(0.03125)
    assert headline(found) == "B is better"
    assert found.conclusion[0] == "B has fewer off-topic false positives: 3 vs 9 of 40, p = 0.031."
    assert found.verdict_a == "FAIL" and found.verdict_b == "REVIEW"
    assert (found.cost_a, found.cost_b) == (0.001, 0.002)


def test_the_other_way_round_a_is_better(compared: Build) -> None:
    found = compared(_wrong(0, 1, 2), _wrong(*range(9)))
    assert headline(found) == "A is better"
    assert found.conclusion[0] == "A has fewer off-topic false positives: 3 vs 9 of 40, p = 0.031."


def test_too_few_differing_articles_show_nothing(compared: Build) -> None:
    found = compared(_wrong(*range(5)), _wrong())
    assert headline(found) == "No difference shown with this n"
    assert found.conclusion[0].startswith(
        "Off-topic false positives: no difference shown with this n (5 vs 0 of 40, p = 0.062"
    )


def test_the_same_prompt_twice_differs_in_nothing(compared: Build) -> None:
    found = compared()
    assert {one.p_value for one in found.errors} == {1.0}
    assert {one.difference for one in found.scores} == {0.0}
    assert {one.p_value for one in found.scores} == {None}


def test_better_at_one_thing_and_worse_at_another(compared: Build) -> None:
    def misses(n: int, name: str) -> Any:
        return (1.0, 0.0, 0.5) if name == "on_topic" and n < 10 else good_scores(n, name)

    found = compared(_wrong(*range(10)), misses)
    assert headline(found) == "Each is better at something"
    assert [one.better for one in found.errors] == ["B", "A", ""]


def test_an_article_counts_only_where_both_answered(compared: Build) -> None:
    def fails(n: int, name: str) -> Any:
        return Setback("rejected", "prose") if n % 2 else good_scores(n, name)

    found = compared(None, fails)
    assert found.both_scored == 45
    assert [one.n for one in found.errors] == [20, 20, 90]
    assert found.errors[2].better == "A"
    assert found.errors[2].p_value < 1e-6
    assert "A has fewer articles without a valid answer: 0 vs 45 of 90, p < 0.001." in (
        found.conclusion
    )


def test_higher_scores_are_a_shift_with_its_interval(compared: Build) -> None:
    def higher(n: int, name: str) -> Any:
        return tuple(min(10.0, value + 0.5) for value in good_scores(n, name))

    found = compared(None, higher)
    by_name = {one.name: one for one in found.scores}
    shift = by_name["overall score, off-topic"]
    assert shift.difference == pytest.approx(0.5)
    assert shift.low is not None and shift.low > 0.4 and (shift.p_value or 1) < 1e-6
    assert headline(found) == "No difference shown with this n"
