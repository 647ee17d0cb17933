"""Bias and noise of one rater: found where they were put, apart from each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from distillery_core.agreement.paired import Ranked, compare
from distillery_core.agreement.repeated import mean_pair_differences, repeated


def test_bias_and_noise_are_found_apart() -> None:
    random = np.random.default_rng(3)
    truth = random.uniform(0, 10, 2000)
    found = compare(truth + 2 + random.normal(0, 0.5, 2000), truth, resamples=200)
    assert found.bias.value == pytest.approx(2, abs=0.05)
    assert found.noise.value == pytest.approx(0.5, abs=0.03)
    assert found.bias.low < 2 < found.bias.high
    assert found.noise.low < 0.5 < found.noise.high
    assert found.mae.value == pytest.approx(2, abs=0.05)


def test_articles_that_one_has_not_scored_do_not_count() -> None:
    rater = np.array([1.0, 2.0, np.nan, 4.0])
    found = compare(rater, np.array([1.0, np.nan, 3.0, 2.0]), resamples=10)
    assert found.n == 2
    assert found.bias.value == 1.0
    empty = compare(np.array([np.nan]), np.array([1.0]))
    assert empty.n == 0
    assert not empty.bias.known


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=12))
def test_spearman_with_ties_is_scipys(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    found = compare(first, second, resamples=5).spearman
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert not found.known
    else:
        assert found.value == pytest.approx(spearmanr(first, second).statistic)


def test_ranks_of_a_resample_are_ranks_of_the_articles_it_drew() -> None:
    values = np.array([5.0, 1.0, 5.0, 9.0])
    ranks = Ranked(values).midranks(np.array([[1.0, 2.0, 0.0, 1.0]]))
    # Drawn: 5, 1, 1, 9 -> ranks 3, 1.5, 1.5, 4.
    assert ranks[0, [0, 1, 3]].tolist() == [3.0, 1.5, 4.0]


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).normal(size=(2, 50))
    assert compare(*values, seed=4) == compare(*values, seed=4)
    assert compare(*values, seed=4) != compare(*values, seed=5)


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(12)
    hits = 0
    for seed in range(200):
        drawn = compare(random.normal(0.3, 1, 60), np.zeros(60), seed=seed, resamples=300).bias
        hits += drawn.low <= 0.3 <= drawn.high
    assert 180 <= hits <= 199


def test_repeats_by_hand() -> None:
    values = np.array([[1.0, 3.0, np.nan], [4.0, 4.0, 7.0], [5.0, np.nan, np.nan]])
    assert mean_pair_differences(values[:2]).tolist() == [2.0, 2.0]
    found = repeated(values, resamples=20)
    assert found.n == 2
    # Squares within: 2 and 6, one and two degrees of freedom.
    assert found.deviation.value == pytest.approx((8 / 3) ** 0.5)
    assert found.difference.value == 2.0
