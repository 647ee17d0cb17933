"""Dataset QA: what is measured of a set of labels, and the statistics that are only reported.

The limits stand in `agents/dataset_quality/criteria.yaml`; here are the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from distillery_core.dataset.rejects import Kind
from distillery_core.filters.filter import Filter
from distillery_core.verdicts.measurement import Measurement, not_applicable, rate

Floats = npt.NDArray[np.float64]

NEEDLE_SHARE = 0.10
"""A filter is a needle filter if fewer of its labels reach the lowest tier of interest."""

MIDDLE = 5.0
_EDGES = np.arange(11.0)
_FLAT = 1e-9
_INVALID = (
    Kind.NO_ANALYSIS,
    Kind.MISSING_DIMENSION,
    Kind.UNKNOWN_DIMENSION,
    Kind.NOT_A_NUMBER,
    Kind.NOT_FINITE,
    Kind.OUT_OF_RANGE,
)


@dataclass(frozen=True)
class Labels:
    """The labels of a dataset and what reading them cost in rows.

    Attributes:
        dimensions: names, in the order of the columns of `scores`.
        scores: shape (rows, dimensions), 0-10.
        overall: shape (rows,), 0-10, after score rules.
        classes: the stored sampling class of each row, None where there is none.
        rows_read: rows of the file, rejected ones included.
        rejected: kind -> how many rows were rejected for it.
        provenances: how many different pairs of oracle and prompt gave the labels.
        mixture_declared: the user said that several are meant.
    """

    dimensions: tuple[str, ...]
    scores: Floats
    overall: Floats
    classes: Sequence[str | None]
    rows_read: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    provenances: int = 1
    mixture_declared: bool = False


@dataclass(frozen=True, slots=True)
class FilterKind:
    """Whether a filter looks for common or for rare content, and why that is said."""

    kind: Literal["general", "needle"]
    share: float
    reason: str


def filter_kind(filter: Filter, overall: Floats) -> FilterKind:
    """General or needle, from the labels' overall scores or the config's own word.

    Args:
        overall: overall scores after rules of all labelled rows, not empty.
    """
    share = float(np.mean(overall >= filter.operating_point))
    seen = f"{share * 100:.1f} % of the labels are at or above {filter.operating_point:g}"
    deployment = filter.config.deployment
    if deployment.kind != "auto":
        return FilterKind(deployment.kind, share, f"{deployment.kind_reason} ({seen})")
    return FilterKind("needle" if share < NEEDLE_SHARE else "general", share, seen)


def quality_measurements(labels: Labels) -> dict[str, Measurement]:
    """Every line of the table, by name; counts and extremes, no sample is involved."""
    scores, rejected = labels.scores, labels.rejected
    rows = len(scores)
    correlation, pair = _highest_correlation(labels)
    outside = rejected.get(Kind.OUT_OF_RANGE, 0) + rejected.get(Kind.NOT_FINITE, 0)
    missing = rejected.get(Kind.MISSING_DIMENSION, 0) + rejected.get(Kind.NO_ANALYSIS, 0)
    spreads, fullest = scores.std(axis=0), _fullest_bins(scores)
    return {
        "rows_missing_dimension": rate(missing, labels.rows_read),
        "scores_out_of_range": _count(outside, labels.rows_read),
        "invalid_answers": rate(sum(rejected.get(k, 0) for k in _INVALID), labels.rows_read),
        "duplicate_ids": rate(rejected.get(Kind.DUPLICATE_ID, 0), labels.rows_read),
        "one_sided_dimensions": _named(labels, _one_sided(scores)),
        "all_zero_on_topic": _zeros(labels, classed=True),
        "all_zero_rows": _zeros(labels, classed=False),
        "constant_dimensions": _named(labels, np.ptp(scores, axis=0) < _FLAT),
        "mixed_provenance": _mixture(labels),
        "lowest_std": Measurement(
            float(spreads.min()), n=rows, note=labels.dimensions[int(spreads.argmin())]
        ),
        "fullest_bin": Measurement(
            float(fullest.max()), n=rows, note=labels.dimensions[int(fullest.argmax())]
        ),
        "highest_label": Measurement(float(scores.max()), n=rows),
        "highest_correlation": not_applicable("a single dimension, or none that varies")
        if correlation is None
        else Measurement(correlation, n=rows, note=pair),
    }


def quality_statistics(labels: Labels) -> dict[str, Any]:
    """What is reported and does not decide, as plain JSON values.

    `dimensions`: mean, std (population), median, min, max and the counts in ten one-point bins
    (the last one closed). `correlations`: Pearson, null where a dimension is constant.
    `first_component_share`: share of the total variance along the first principal component.
    """
    scores = labels.scores
    return {
        "rows": len(scores),
        "dimensions": {
            name: _describe(scores[:, column]) for column, name in enumerate(labels.dimensions)
        },
        "overall": _describe(labels.overall),
        "correlations": _correlation_table(labels),
        "first_component_share": _first_component_share(scores),
    }


def _count(count: int, n: int, note: str = "") -> Measurement:
    return Measurement(float(count), n=n, count=count, note=note)


def _named(labels: Labels, found: npt.NDArray[np.bool_]) -> Measurement:
    """How many dimensions have a fault, and which."""
    names = [name for name, bad in zip(labels.dimensions, found, strict=True) if bad]
    return _count(len(names), len(labels.dimensions), ", ".join(names))


def _one_sided(scores: Floats) -> npt.NDArray[np.bool_]:
    low, high = (scores <= MIDDLE).any(axis=0), (scores >= MIDDLE).any(axis=0)
    return np.logical_not(low & high)


def _zeros(labels: Labels, *, classed: bool) -> Measurement:
    """All-zero rows among those classed on-topic or edge, or among those without a class."""
    wanted: tuple[str | None, ...] = ("on_topic", "edge") if classed else (None,)
    among = np.array([name in wanted for name in labels.classes], dtype=bool)
    if not among.any():
        return not_applicable("no stored classes" if classed else "every row has a stored class")
    zero = np.logical_not(labels.scores[among].any(axis=1))
    return rate(int(zero.sum()), int(among.sum()))


def _mixture(labels: Labels) -> Measurement:
    further = max(labels.provenances - 1, 0)
    if further and labels.mixture_declared:
        return _count(0, labels.rows_read, f"{further} more, declared as meant")
    return _count(further, labels.rows_read)


def _fullest_bins(scores: Floats) -> Floats:
    bins = np.minimum(np.floor(scores), 9).astype(np.int64)
    counts = [np.bincount(column, minlength=10).max() for column in bins.T]
    return np.array(counts) / len(scores)


def _correlations(scores: Floats) -> Floats:
    """Pearson correlations, NaN where a dimension is constant."""
    centred = scores - scores.mean(axis=0)
    lengths = np.sqrt((centred**2).sum(axis=0))
    scale = np.where(lengths > _FLAT, lengths, np.nan)
    table: Floats = np.clip((centred / scale).T @ (centred / scale), -1, 1)
    return table


def _highest_correlation(labels: Labels) -> tuple[float | None, str]:
    size = np.abs(_correlations(labels.scores))
    upper = np.triu_indices(len(labels.dimensions), k=1)
    values = size[upper]
    if not np.isfinite(values).any():
        return None, ""
    best = int(np.nanargmax(values))
    first, second = (labels.dimensions[int(axis[best])] for axis in upper)
    return float(values[best]), f"{first} and {second}"


def _correlation_table(labels: Labels) -> dict[str, dict[str, float | None]]:
    table = _correlations(labels.scores)
    return {
        name: {
            other: round(float(value), 4) if np.isfinite(value) else None
            for other, value in zip(labels.dimensions, table[row], strict=True)
        }
        for row, name in enumerate(labels.dimensions)
    }


def _first_component_share(scores: Floats) -> float | None:
    covariance = np.atleast_2d(np.cov(scores, rowvar=False, bias=True))
    total = float(np.trace(covariance))
    if total < _FLAT:
        return None
    return round(float(np.linalg.eigvalsh(covariance)[-1]) / total, 4)


def _describe(values: Floats) -> dict[str, Any]:
    return {
        "mean": round(float(values.mean()), 4),
        "std": round(float(values.std()), 4),
        "median": round(float(np.median(values)), 4),
        "min": float(values.min()),
        "max": float(values.max()),
        "histogram": np.histogram(values, bins=_EDGES)[0].tolist(),
    }
