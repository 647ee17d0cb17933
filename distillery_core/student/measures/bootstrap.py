"""Bootstrap intervals: articles, or groups of near-duplicates, drawn again with replacement.

Efron's percentile bootstrap; where articles come in groups, whole groups are drawn (the cluster
bootstrap), since near-duplicates are not independent evidence. A resample is kept as how often each
group was drawn, so that a mean over all resamples is one product of matrices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from distillery_core.student.measures.metrics import Array, average_precision

BOOTSTRAP_RESAMPLES = 2000
_CELLS = 4_000_000  # counts held at once; two blocks of 16 MB stay in the cache
_SEED, _OTHER_SEED = 0, 1

Groups = Sequence[object]


@dataclass(frozen=True, slots=True)
class Interval:
    """A point estimate and its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float


def bootstrap_mean(values: Array, groups: Groups | None = None) -> Interval:
    """The mean of per-article values.

    Args:
        values: [articles].
        groups: the group of each article; None: each stands for itself.
    """
    [interval] = bootstrap_means(values[:, None], groups)
    return interval


def bootstrap_means(values: Array, groups: Groups | None = None) -> list[Interval]:
    """The mean of each column of [articles, columns], all from the same resamples."""
    means = resampled_means(values, groups)
    points = _column_means(values)
    return [percentile_interval(float(points[at]), means[at]) for at in range(values.shape[1])]


def paired_bootstrap(errors: Array, other_errors: Array, groups: Groups | None = None) -> Interval:
    """Mean of `errors - other_errors` of two predictors on the same articles, [articles] each.

    An interval wholly below 0 means: the first predictor is better beyond chance.
    """
    if errors.shape != other_errors.shape:
        raise ValueError(f"not the same articles: {errors.shape} and {other_errors.shape}")
    return bootstrap_mean(errors - other_errors, groups)


def gap_bootstrap(
    errors: Array,
    other_errors: Array,
    groups: Groups | None = None,
    other_groups: Groups | None = None,
) -> Interval:
    """Difference of the mean errors of one predictor on two different sets of articles."""
    [means] = resampled_means(errors[:, None], groups)
    [other] = resampled_means(other_errors[:, None], other_groups, _OTHER_SEED)
    return percentile_interval(float(errors.mean() - other_errors.mean()), means - other)


def paired_average_precision(
    positive: Array, scores: Array, other_scores: Array, groups: Groups | None = None
) -> Interval | None:
    """Average precision of `scores` minus that of `other_scores` on the same articles.

    Resamples without a positive are left out; None if there is no positive at all.

    Args:
        positive: bool [articles].
        scores, other_scores: [articles], higher means more likely positive.
    """
    first, second = average_precision(positive, scores), average_precision(positive, other_scores)
    if first is None or second is None:
        return None
    unit_of = _units(len(positive), groups)
    found = [
        _average_precisions(counts, unit_of, positive, scores)
        - _average_precisions(counts, unit_of, positive, other_scores)
        for counts in _blocks(int(unit_of.max()) + 1, _SEED)
    ]
    differences = np.concatenate(found)
    return percentile_interval(first - second, differences[np.isfinite(differences)])


def _units(n: int, groups: Groups | None) -> Array:
    """The number of each article's group, 0 and up, in order of first appearance."""
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} articles")
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.int64)


def _blocks(units: int, seed: int) -> Iterator[Array]:
    """All resamples, as counts [units, resamples] in blocks that fit into memory."""
    most = max(1, _CELLS // units)
    for start in range(0, BOOTSTRAP_RESAMPLES, most):
        yield _counts(units, min(most, BOOTSTRAP_RESAMPLES - start), seed, start)


@lru_cache(maxsize=2)
def _counts(units: int, resamples: int, seed: int, start: int) -> Array:
    """How often each unit was drawn, float32 [units, resamples]."""
    rng = np.random.default_rng((seed, start))
    drawn = rng.integers(units, size=(resamples, units))
    flat = drawn + np.arange(resamples)[:, None] * units
    counts = np.bincount(flat.ravel(), minlength=resamples * units).reshape(resamples, units)
    return np.ascontiguousarray(counts.T, dtype=np.float32)


def resampled_means(values: Array, groups: Groups | None = None, seed: int = _SEED) -> Array:
    """Means of each column of [articles, columns] in every resample, [columns, resamples].

    The columns are centred first: float32 then rounds deviations, not levels. Each is computed as
    if it stood alone, so that the same errors have the same interval wherever they are told.
    """
    unit_of = _units(len(values), groups)
    units = int(unit_of.max()) + 1
    centre = _column_means(values)
    deviations = np.asarray(values - centre, dtype=np.float64)
    sizes = np.bincount(unit_of, minlength=units).astype(np.float32)
    sums = deviations
    if units < len(values):
        sums = np.zeros((units, values.shape[1]))
        np.add.at(sums, unit_of, deviations)
    columns = np.ascontiguousarray(sums.T, dtype=np.float32)
    shifts = [
        np.stack([column @ counts for column in columns]) / (sizes @ counts)
        for counts in _blocks(units, seed)
    ]
    means: Array = centre[:, None] + np.concatenate(shifts, axis=1).astype(np.float64)
    return means


def _column_means(values: Array) -> Array:
    """Numpy adds up columns that lie side by side in another order than one alone."""
    return np.array([np.ascontiguousarray(column).mean() for column in values.T])


def _average_precisions(counts: Array, unit_of: Array, positive: Array, scores: Array) -> Array:
    """Average precision in every resample, float64 [resamples]; NaN without a positive.

    As `metrics.average_precision`: only ties that hold a positive add recall, so precision is
    needed at their ends alone.
    """
    order = np.argsort(-scores, kind="stable")
    hit = positive[order]
    tie = np.concatenate([[0], np.cumsum(np.diff(scores[order]) != 0)])
    ties, first_hits = np.unique(tie[hit], return_index=True)
    ends = np.searchsorted(tie, ties, side="right")
    drawn = counts[unit_of[order[: ends[-1]]]]
    all_drawn = np.add.reduceat(drawn, np.concatenate([[0], ends[:-1]]), axis=0).cumsum(axis=0)
    hits = np.add.reduceat(counts[unit_of[order[hit]]], first_hits, axis=0)
    found = hits.cumsum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(all_drawn > 0, found / all_drawn, 0.0)
        values: Array = (hits * precision).sum(axis=0, dtype=np.float64) / found[-1]
    return values


def percentile_interval(value: float, resampled: Array) -> Interval:
    """A point estimate with the middle 95 % of its resamples."""
    if not len(resampled):
        return Interval(value, value, value)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Interval(value, float(low), float(high))
