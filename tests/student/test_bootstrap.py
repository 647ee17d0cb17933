"""The bootstrap against resampling article by article, and what groups do to it."""

from __future__ import annotations

import numpy as np
import pytest

from distillery_core.student.measures import bootstrap, metrics
from distillery_core.student.measures.metrics import Array


def test_the_interval_has_the_width_of_the_standard_error_and_is_repeatable() -> None:
    errors = np.random.default_rng(1).normal(1.0, 0.5, size=200)
    interval = bootstrap.bootstrap_mean(errors)
    width = 2 * 1.96 * errors.std() / np.sqrt(200)
    assert interval.low < interval.value < interval.high
    assert interval.high - interval.low == pytest.approx(width, rel=0.1)
    assert interval == bootstrap.bootstrap_mean(errors)


def test_copies_in_groups_are_no_evidence_without_groups_they_would_be() -> None:
    errors = np.random.default_rng(1).normal(1.0, 0.5, size=100)
    ten_times, groups = np.repeat(errors, 10), np.repeat(np.arange(100), 10).tolist()
    once = bootstrap.bootstrap_mean(errors)
    grouped = bootstrap.bootstrap_mean(ten_times, groups)
    alone = bootstrap.bootstrap_mean(ten_times)
    assert (grouped.low, grouped.high) == pytest.approx((once.low, once.high), abs=1e-5)
    assert alone.high - alone.low < 0.4 * (once.high - once.low)
    with pytest.raises(ValueError, match="3 groups for 100 articles"):
        bootstrap.bootstrap_mean(errors, ["a", "b", "c"])


def test_groups_of_different_sizes_weigh_by_their_articles() -> None:
    values, groups = np.array([0.0, 0.0, 0.0, 4.0]), ["a", "a", "a", "b"]
    interval = bootstrap.bootstrap_mean(values, groups)
    assert (interval.value, interval.low, interval.high) == (1.0, 0.0, 4.0)


def test_a_constant_difference_has_no_width() -> None:
    interval = bootstrap.paired_bootstrap(np.full(50, 0.4), np.full(50, 1.0))
    assert (interval.low, interval.high) == pytest.approx((-0.6, -0.6), abs=1e-12)


def test_paired_bootstrap_sees_a_small_steady_difference() -> None:
    rng = np.random.default_rng(2)
    hard = rng.exponential(2.0, size=100)
    better = bootstrap.paired_bootstrap(hard, hard + rng.normal(0.1, 0.1, size=100))
    assert better.high < 0
    gap = bootstrap.gap_bootstrap(hard, hard[::-1])
    assert gap.low < 0 < gap.high
    with pytest.raises(ValueError, match="not the same articles"):
        bootstrap.paired_bootstrap(hard, hard[1:])


def test_blocks_give_what_one_piece_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = np.random.default_rng(4).normal(1.0, 0.5, size=300)
    whole = bootstrap.bootstrap_mean(errors)
    monkeypatch.setattr(bootstrap, "_CELLS", 90_000)
    cut = bootstrap.bootstrap_mean(errors)
    assert (cut.low, cut.high) == pytest.approx((whole.low, whole.high), abs=0.01)


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_average_precision_of_a_resample_is_that_of_the_articles_drawn(decimals: int) -> None:
    rng = np.random.default_rng(3)
    positive: Array = rng.random(80) < 0.2
    scores = np.round(positive + rng.normal(size=80), decimals)
    [counts] = bootstrap._blocks(80, 0)
    found = bootstrap._average_precisions(counts, np.arange(80), positive, scores)
    for at in range(25):
        drawn = np.repeat(np.arange(80), counts[:, at].astype(int))
        wanted = metrics.average_precision(positive[drawn], scores[drawn])
        assert found[at] == pytest.approx(wanted, abs=1e-5)


def test_average_precision_difference_needs_a_positive() -> None:
    positive = np.arange(60) < 12
    good, bad = -np.arange(60.0), np.random.default_rng(3).random(60)
    found = bootstrap.paired_average_precision(positive, good, bad)
    assert found is not None
    assert found.low > 0
    assert bootstrap.paired_average_precision(positive & False, good, bad) is None


def test_resamples_without_a_positive_are_left_out() -> None:
    positive = np.arange(40) == 3
    scores = -np.arange(40.0)
    found = bootstrap.paired_average_precision(positive, scores, -scores)
    assert found is not None
    assert 0 < found.low <= found.high <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("articles", "columns"), [(70, 2), (333, 6), (1000, 13)])
def test_errors_have_the_same_interval_alone_and_beside_others(
    articles: int, columns: int, dtype: type
) -> None:
    """To the last digit: a report tells some of them in two places."""
    errors = np.random.default_rng(0).exponential(size=(articles, columns)).astype(dtype)
    groups = [row // 2 for row in range(articles)]
    for given in (None, groups):
        together = bootstrap.bootstrap_means(errors, given)
        assert together == [bootstrap.bootstrap_mean(column, given) for column in errors.T]
