"""How much of a validation metric is chance: against what drawing articles anew gives."""

from __future__ import annotations

import numpy as np
import pytest

from distillery_core.student.chance import bound, gained, is_skilled, standard_error
from distillery_core.student.measures.metrics import mae, rmse, spearman
from distillery_core.student.selection import Chosen


def test_the_standard_error_of_an_mae_is_what_other_articles_give() -> None:
    rng = np.random.default_rng(0)
    errors = rng.gamma(2.0, 0.5, size=(4000, 50, 1))
    nothing = np.zeros((50, 1))
    spread = np.std([mae(one, nothing) for one in errors])
    val = {"mae": float(errors.mean()), "rmse": rmse(errors[:, 0], np.zeros((4000, 1)))}
    assert standard_error("mae", val, 50) == pytest.approx(spread, rel=0.05)


def test_unrelated_ranks_stay_within_the_bound() -> None:
    rng = np.random.default_rng(0)
    drawn = [spearman(*rng.normal(size=(2, 35))) or 0.0 for _ in range(4000)]
    error = standard_error("spearman", {}, 35)
    assert error == pytest.approx(np.std(drawn), rel=0.05)
    assert np.mean(np.abs(drawn) <= bound("spearman", 35)) == pytest.approx(0.95, abs=0.01)


def test_a_gain_is_one_from_a_standard_error() -> None:
    before, now = {"mae": 0.972, "rmse": 1.4}, {"mae": 0.966, "rmse": 1.391}
    assert not gained("mae", before, now, 35)
    assert gained("mae", {"mae": 1.2, "rmse": 1.6}, now, 35)
    assert not gained("mae", {"mae": 1.2, "rmse": 1.6}, now, None)
    assert not gained("mae", {"mae": 1.2}, {"mae": 0.5}, 35)
    assert not gained("recall", {"needle_recall": 0.1}, {"needle_recall": 0.9}, 35)
    assert gained("spearman", {"spearman": None}, {"spearman": 0.1}, 35)


@pytest.mark.parametrize(
    ("by", "val", "skilled"),
    [
        ("mae", {"mae": 9.0}, True),
        ("spearman", {"spearman": -0.02}, False),
        ("spearman", {"spearman": 0.2}, False),
        ("spearman", {"spearman": 0.4}, True),
        ("spearman", {}, False),
        ("recall", {"needle_recall": 0.0}, False),
        ("recall", {"needle_recall": 0.1}, True),
    ],
)
def test_skill_is_what_chance_does_not_give(
    by: Chosen, val: dict[str, float], skilled: bool
) -> None:
    assert is_skilled(by, val, 35) is skilled
