"""Metrics against hand-computed numbers, scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from distillery_core.student.measures import metrics

PREDICTED = np.array([[1.0, 5.0], [3.0, 5.0], [9.0, 5.0]])
LABELS = np.array([[2.0, 5.0], [3.0, 7.0], [6.0, 3.0]])


def test_errors_by_hand() -> None:
    assert metrics.mae(PREDICTED, LABELS) == pytest.approx((1 + 0 + 3 + 0 + 2 + 2) / 6)
    assert metrics.rmse(PREDICTED, LABELS) == pytest.approx(np.sqrt((1 + 9 + 4 + 4) / 6))
    assert metrics.bias(PREDICTED, LABELS) == pytest.approx((-1 + 0 + 3 + 0 - 2 + 2) / 6)
    assert metrics.within(PREDICTED, LABELS) == pytest.approx(3 / 6)
    assert metrics.article_errors(PREDICTED, LABELS) == pytest.approx([0.5, 1.0, 2.5])


def test_summary_has_the_seeds_keys_and_null_where_there_is_no_rank() -> None:
    summary = metrics.summarise(PREDICTED, LABELS, ("first", "second"))
    assert summary["first_mae"] == pytest.approx(4 / 3)
    assert summary["second_rmse"] == pytest.approx(np.sqrt(8 / 3))
    assert summary["second_spearman"] is None
    assert summary["spearman"] == summary["first_spearman"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="2 columns for 1"):
        metrics.summarise(PREDICTED, LABELS, ("first",))


def test_different_shapes_are_never_broadcast() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.mae(PREDICTED, LABELS[:1])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_spearman_is_scipys(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=float).T
    found = metrics.spearman(x, y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(x, y).statistic, abs=1e-9)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=40))
def test_average_precision_is_scikit_learns(pairs: list[tuple[bool, int]]) -> None:
    positive = np.array([p for p, _ in pairs])
    scores = np.array([float(s) for _, s in pairs])
    found = metrics.average_precision(positive, scores)
    if not positive.any():
        assert found is None
    else:
        assert found == pytest.approx(average_precision_score(positive, scores))


def test_operating_point_counts() -> None:
    overall, labelled = np.array([6.0, 2.5, 1.0, 3.0]), np.array([5.0, 2.4, 2.5, 2.5])
    point = metrics.operating_point(overall, labelled, 2.5)
    assert (point.true_positives, point.predicted, point.positives) == (2, 3, 3)
    assert point.precision == point.recall == pytest.approx(2 / 3)
    assert metrics.operating_point(overall, labelled, 9.0).precision is None


def test_every_label_lies_in_one_band() -> None:
    labels = np.arange(0, 10.5, 0.5)
    bands = metrics.band_errors(labels + 1, labels)
    assert [band.n for band in bands] == [6, 4, 4, 4, 3]
    assert all(band.mae == band.bias == pytest.approx(1.0) for band in bands)
    assert metrics.band_errors(labels[:1], labels[:1])[-1].mae is None


def test_skill() -> None:
    assert metrics.skill(1.0, 2.0) == pytest.approx(0.5)
    assert metrics.skill(1.0, 0.0) == 0.0
