"""How far predictions are from labels: pure functions on numpy arrays.

Scores are in [0, 10]; `predictions` and `labels` have shape [articles, dimensions] unless a
function says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BANDS: tuple[tuple[str, float, float], ...] = (
    # Labels come in halves, so the bands of the reports meet between two halves.
    ("0-2", -np.inf, 2.75),
    ("3-4", 2.75, 4.75),
    ("5-6", 4.75, 6.75),
    ("7-8", 6.75, 8.75),
    ("9-10", 8.75, np.inf),
)


def mae(predictions: Array, labels: Array) -> float:
    """Mean absolute error over all articles and dimensions."""
    return float(np.abs(_difference(predictions, labels)).mean())


def mse(predictions: Array, labels: Array) -> float:
    """Mean squared error, the training loss."""
    return float(np.square(_difference(predictions, labels)).mean())


def rmse(predictions: Array, labels: Array) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(mse(predictions, labels)))


def bias(predictions: Array, labels: Array) -> float:
    """Mean of prediction minus label; positive means too high."""
    return float(_difference(predictions, labels).mean())


def within(predictions: Array, labels: Array, tolerance: float = 1.0) -> float:
    """Share of scores within `tolerance` of the label (the seed's "accuracy vs oracle")."""
    return float((np.abs(_difference(predictions, labels)) <= tolerance).mean())


def article_errors(predictions: Array, labels: Array) -> Array:
    """Mean absolute error of each article, shape [articles]: what the bootstrap resamples."""
    errors: Array = np.abs(_difference(predictions, labels)).mean(axis=1)
    return errors


def spearman(predictions: Array, labels: Array) -> float | None:
    """Spearman's rank correlation of two vectors; None where one of them is constant."""
    if len(predictions) < 2 or np.ptp(predictions) == 0 or np.ptp(labels) == 0:
        return None
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(predictions), rankdata(labels))[0, 1])


def summarise(
    predictions: Array, labels: Array, dimensions: Sequence[str]
) -> dict[str, float | None]:
    """One entry of the training history.

    Returns:
        `loss` (MSE), `mae`, `rmse`, `bias`, `spearman` (mean over the dimensions that have one),
        then `<dimension>_mae`, `_rmse`, `_bias`, `_spearman`.
    """
    if predictions.shape[1] != len(dimensions):
        raise ValueError(f"{predictions.shape[1]} columns for {len(dimensions)} dimensions")
    ranks = [spearman(predictions[:, i], labels[:, i]) for i in range(len(dimensions))]
    known = [rank for rank in ranks if rank is not None]
    summary: dict[str, float | None] = {
        "loss": mse(predictions, labels),
        "mae": mae(predictions, labels),
        "rmse": rmse(predictions, labels),
        "bias": bias(predictions, labels),
        "spearman": float(np.mean(known)) if known else None,
    }
    for i, name in enumerate(dimensions):
        column, truth = predictions[:, i], labels[:, i]
        summary[f"{name}_mae"] = mae(column, truth)
        summary[f"{name}_rmse"] = rmse(column, truth)
        summary[f"{name}_bias"] = bias(column, truth)
        summary[f"{name}_spearman"] = ranks[i]
    return summary


@dataclass(frozen=True, slots=True)
class BandError:
    """Errors where the label lies in one band; mae and bias are None for an empty band."""

    band: str
    n: int
    mae: float | None
    bias: float | None


def band_errors(predictions: Array, labels: Array) -> list[BandError]:
    """Errors per label band, over all scores or over one dimension's vector."""
    found = []
    for name, low, high in BANDS:
        inside = (labels >= low) & (labels < high)
        n = int(inside.sum())
        chosen = (predictions[inside], labels[inside])
        found.append(BandError(name, n, mae(*chosen) if n else None, bias(*chosen) if n else None))
    return found


def skill(error: float, baseline_error: float) -> float:
    """1 - MAE / MAE of the baseline: 0 is no better than the baseline, 1 is perfect."""
    return 1.0 - error / baseline_error if baseline_error > 0 else 0.0


def average_precision(positive: Array, scores: Array) -> float | None:
    """Area under the precision-recall steps, tied scores taken together; None without positives.

    Args:
        positive: bool [articles].
        scores: float [articles], higher means more likely positive.
    """
    if not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    precision = hits[last_of_tie] / (np.flatnonzero(last_of_tie) + 1)
    recall = hits[last_of_tie] / positive.sum()
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Counts at a threshold; the rates are None where their denominator is 0."""

    true_positives: int
    predicted: int
    positives: int

    @property
    def precision(self) -> float | None:
        """Share of the predicted that are positive."""
        return self.true_positives / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """Share of the positives that are predicted."""
        return self.true_positives / self.positives if self.positives else None


def operating_point(overall: Array, labelled_overall: Array, threshold: float) -> OperatingPoint:
    """Precision and recall of "overall at or above the threshold", both arrays [articles]."""
    predicted, positive = overall >= threshold, labelled_overall >= threshold
    both = int((predicted & positive).sum())
    return OperatingPoint(both, int(predicted.sum()), int(positive.sum()))


def _difference(predictions: Array, labels: Array) -> Array:
    if predictions.shape != labels.shape:
        raise ValueError(f"shapes differ: {predictions.shape} and {labels.shape}")
    difference: Array = predictions.astype(np.float64) - labels.astype(np.float64)
    return difference
