from __future__ import annotations

import numpy as np
import pytest

from distillery_core.agents.evaluation_evidence import LearningCurve, LearningPoint
from distillery_core.agents.learning import learning

ARTICLES = 400


def _curve(exponent: float, cost: float | None, noise: float = 0.0) -> LearningCurve:
    """MAE = 4 * n^-exponent at 250, 500 and 1000 training articles."""
    rng = np.random.default_rng(0)
    points = []
    for articles in (250, 500, 1000):
        errors = np.full(ARTICLES, 4.0 * articles**-exponent)
        points.append(
            LearningPoint(
                articles,
                errors * rng.gamma(1 / max(noise, 1e-9), noise, ARTICLES) if noise else errors,
            )
        )
    return LearningCurve("TF-IDF + ridge", tuple(points), 1250, cost)


def test_an_exact_power_law_goes_on_exactly() -> None:
    found = learning(_curve(0.2, cost=0.002))
    assert found.exponent == pytest.approx(0.2)
    twice, four = found.gains
    last = 4.0 * 1000**-0.2
    assert twice.change == pytest.approx(last * (2**-0.2 - 1))
    assert (twice.low, twice.high) == pytest.approx((twice.change, twice.change), abs=1e-4)
    assert four.change == pytest.approx(last * (4**-0.2 - 1))
    assert (twice.labels, twice.cost_usd) == (1250, pytest.approx(2.5))
    assert (four.labels, four.cost_usd) == (3750, pytest.approx(7.5))
    assert [row.articles for row in found.rows] == [250, 500, 1000]


def test_a_flat_noisy_curve_promises_nothing_and_an_unknown_cost_stays_unknown() -> None:
    twice = learning(_curve(0.0, cost=None, noise=0.5)).gains[0]
    assert twice.low < 0 < twice.high
    assert twice.cost_usd is None
