"""Score calibration: kept only when it helps beyond chance; intervals hold what they promise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_core.errors import UserError
from distillery_core.student.measures.bootstrap import paired_average_precision
from distillery_core.student.measures.metrics import Array, mae
from distillery_core.student.measures.score_calibration import (
    CALIBRATION,
    COVERAGE,
    Finding,
    ScoreCalibration,
    coverage_of,
    fit_calibration,
    read_calibration,
)

NAMES = ("threat", "reach")


def _shrunken(rows: int, seed: int, slope: float = 0.4) -> tuple[Array, Array]:
    """Labels, and scores that are drawn towards 5 as a regression head draws them."""
    rng = np.random.default_rng(seed)
    labels = rng.uniform(0, 10, size=(rows, 2))
    scores = 5 + slope * (labels - 5) + rng.normal(0, 0.3, size=labels.shape)
    return np.clip(scores, 0, 10).astype(np.float32), labels.astype(np.float32)


def _bent(rows: int, seed: int) -> tuple[Array, Array]:
    """Scores that give little below 5 and nearly all above it."""
    rng = np.random.default_rng(seed)
    labels = rng.uniform(0, 10, size=(rows, 2))
    scores = np.where(labels < 5, 3 + 0.2 * labels, 4 + 1.2 * (labels - 5))
    scores = scores + rng.normal(0, 0.15, size=labels.shape)
    return np.clip(scores, 0, 10).astype(np.float32), labels.astype(np.float32)


def test_shrinkage_is_undone_on_articles_it_was_not_fitted_on() -> None:
    found = fit_calibration(*_shrunken(400, seed=1), NAMES)
    scores, labels = _shrunken(400, seed=2)
    assert found.map == "line" and found.gain is not None and found.gain[2] < 0
    assert mae(found.apply(scores), labels) < 0.6 * mae(scores, labels)


def test_scores_that_need_no_map_get_none() -> None:
    scores, labels = _shrunken(400, seed=1, slope=1.0)
    found = fit_calibration(scores, labels, NAMES)
    assert found.map is None and "no gain beyond chance" in found.reason
    assert found.apply(scores) is scores


@pytest.mark.parametrize(("rows", "applied"), [(199, False), (200, True)])
def test_maps_need_200_articles(rows: int, applied: bool) -> None:
    found = fit_calibration(*_shrunken(rows, seed=1), NAMES)
    assert (found.map is not None) is applied
    assert applied or found.reason == "199 validation articles, maps need 200"


def test_a_bent_error_takes_isotonic_regression() -> None:
    found = fit_calibration(*_bent(400, seed=1), NAMES)
    scores, labels = _bent(400, seed=2)
    assert found.map == "isotonic"
    mapped = found.apply(scores)
    assert mae(mapped, labels) < 0.8 * mae(scores, labels)
    slope, height = np.polyfit(scores[:, 0], labels[:, 0], 1)
    line = np.abs(slope * scores[:, 0] + height - labels[:, 0]).mean()
    assert np.abs(mapped[:, 0] - labels[:, 0]).mean() < 0.9 * line


def test_scores_that_run_against_the_labels_come_out_level() -> None:
    scores, labels = _shrunken(400, seed=1)
    found = fit_calibration(10 - scores, labels, NAMES)
    assert found.map is not None
    mapped = found.apply(10 - scores)
    assert np.ptp(mapped, axis=0) == pytest.approx(0, abs=0.5)
    assert mapped.mean() == pytest.approx(labels.mean(), abs=0.3)


def test_a_dimension_that_comes_out_level_is_named() -> None:
    scores, labels = _shrunken(400, seed=1)
    scores[:, 1] = 10 - scores[:, 1]
    reason = fit_calibration(scores, labels, NAMES).reason
    assert "one and the same score in reach, where" in reason
    assert "one and the same" not in fit_calibration(*_shrunken(400, seed=1), NAMES).reason


def _finding(labels: Array, weights: Array) -> Finding:
    """By a weighted mean, of the articles in the upper third."""
    overall = labels @ weights
    positive = overall >= np.quantile(overall, 2 / 3)
    return lambda first, second: paired_average_precision(
        positive, first @ weights, second @ weights
    )


def test_where_finding_counts_maps_that_find_worse_are_not_kept() -> None:
    """The second score runs against its own label, yet tells the first: level, it tells nothing."""
    rng = np.random.default_rng(0)
    labels = rng.uniform(0, 10, size=(400, 2)).astype(np.float32)
    first = 5 + 0.4 * (labels[:, 0] - 5) + rng.normal(0, 1, 400)
    second = 3 + 0.6 * labels[:, 0] - 0.1 * labels[:, 1]
    scores = np.clip(np.stack([first, second], axis=1), 0, 10).astype(np.float32)
    assert fit_calibration(scores, labels, NAMES).map is not None
    finding = _finding(labels, np.array([0.7, 0.3]))
    found = fit_calibration(scores, labels, NAMES, finding=finding)
    assert found.map is None and found.gain is not None and found.gain[2] < 0
    assert "but what is looked for would rank lower, average precision -" in found.reason


@pytest.mark.parametrize("seed", range(4))
def test_a_map_is_not_lost_to_a_difference_in_order_that_is_chance(seed: int) -> None:
    """A line that is cut off at 0 and 10 ties a few articles."""
    scores, labels = _shrunken(400, seed)
    finding = _finding(labels, np.array([0.5, 0.5]))
    assert fit_calibration(scores, labels, NAMES, finding=finding).map is not None
    assert fit_calibration(scores, labels, NAMES, finding=lambda *_: None).map is not None


@pytest.mark.parametrize(("rows", "has_intervals"), [(49, False), (50, True)])
def test_intervals_need_50_articles(rows: int, has_intervals: bool) -> None:
    scores, labels = _shrunken(rows, seed=1)
    found = fit_calibration(scores, labels, NAMES)
    assert (found.intervals(scores) is not None) is has_intervals


def test_intervals_hold_the_share_they_promise() -> None:
    """Over 40 pairs of samples; a single pair strays by a few points."""
    shares = []
    for seed in range(0, 80, 2):
        found = fit_calibration(*_shrunken(200, seed), NAMES)
        scores, labels = _shrunken(200, seed + 1)
        ends = found.intervals(found.apply(scores))
        assert ends is not None
        shares += coverage_of(*ends, labels)
    assert abs(float(np.mean(shares)) - COVERAGE) < 0.015


def test_near_duplicates_stay_on_one_side_of_a_fold() -> None:
    """Each article four times, its label noise shared: only ungrouped folds would see a gain."""
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.uniform(0, 10, size=(60, 2)), 4, axis=0).astype(np.float32)
    scores = np.repeat(rng.uniform(0, 10, size=(60, 2)), 4, axis=0).astype(np.float32)
    groups = np.repeat(np.arange(60), 4).tolist()
    apart = fit_calibration(scores, labels, NAMES, groups)
    mixed = fit_calibration(scores, labels, NAMES)
    assert apart.gain is not None and mixed.gain is not None
    assert mixed.gain[0] < apart.gain[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 1.0))
def test_a_map_never_turns_an_order_around_nor_leaves_the_scale(seed: int, slope: float) -> None:
    found = fit_calibration(*_shrunken(200, seed, slope), NAMES)
    line = np.linspace(-1, 11, 50, dtype=np.float32)
    mapped = found.apply(np.stack([line, line], axis=1))
    assert (np.diff(mapped, axis=0) >= 0).all()
    assert found.map is None or (mapped.min() >= 0 and mapped.max() <= 10)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    found = fit_calibration(*_shrunken(300, seed=1), NAMES)
    (tmp_path / CALIBRATION).write_text(found.model_dump_json(), encoding="utf-8")
    again = read_calibration(tmp_path, NAMES)
    assert again == found
    scores, _ = _shrunken(50, seed=9)
    assert isinstance(again, ScoreCalibration)
    assert np.array_equal(again.apply(scores), found.apply(scores))
    assert read_calibration(tmp_path / "none", NAMES) is None


def test_a_calibration_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    found = fit_calibration(*_shrunken(300, seed=1), NAMES)
    (tmp_path / CALIBRATION).write_text(found.model_dump_json(), encoding="utf-8")
    with pytest.raises(UserError, match="other dimensions"):
        read_calibration(tmp_path, ("reach", "threat"))
    broken = json.loads(found.model_dump_json())
    broken["dimensions"]["threat"]["scores"].reverse()
    (tmp_path / CALIBRATION).write_text(json.dumps(broken), encoding="utf-8")
    with pytest.raises(UserError, match="not a score calibration"):
        read_calibration(tmp_path, NAMES)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), bent=st.booleans())
def test_between_the_outer_knots_articles_keep_their_order(seed: int, bent: bool) -> None:
    draw = _bent if bent else _shrunken
    found = fit_calibration(*draw(250, seed), NAMES)
    assert found.map == "isotonic" if bent else found.map is not None
    scores = np.sort(draw(250, seed + 1)[0], axis=0)
    mapped = found.apply(scores)
    for at, one in enumerate(found.dimensions.values()):
        inside = (scores[:, at] > one.scores[0]) & (scores[:, at] < one.scores[-1])
        apart = np.diff(scores[inside, at]) > 1e-3
        assert apart.sum() > 50
        assert (np.diff(mapped[inside, at])[apart] > 0).all()
