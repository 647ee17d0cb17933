"""One oracle against itself: repeated answers to the same articles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from distillery_core.agreement.ratings import Floats
from distillery_core.agreement.resampling import Estimate, estimate, ratio


@dataclass(frozen=True, slots=True)
class Repeated:
    """How far an oracle's answers to one and the same article lie apart.

    Attributes:
        n: articles with two answers or more.
        deviation: within-article standard deviation, pooled (Bland and Altman 1996, Measurement
            error, BMJ 313:744): the noise of a single answer, points.
        difference: mean absolute difference of two answers, over all pairs of an article, points.
    """

    n: int
    deviation: Estimate
    difference: Estimate


def repeated(values: Floats, *, seed: int = 0, resamples: int = 1000) -> Repeated:
    """Measure repeats of one oracle on one dimension, shape (articles, repeats), NaN missing."""
    count = np.isfinite(values).sum(axis=1)
    twice = values[count >= 2]
    answers = count[count >= 2].astype(np.float64)
    centred = twice - np.nanmean(twice, axis=1, keepdims=True) if len(twice) else twice
    squares = np.nansum(centred**2, axis=1)
    differences = mean_pair_differences(twice)
    of = partial(estimate, articles=len(twice), seed=seed, resamples=resamples)
    return Repeated(
        n=len(twice),
        deviation=of(lambda weights: np.sqrt(ratio(weights @ squares, weights @ (answers - 1)))),
        difference=of(lambda weights: ratio(weights @ differences, weights.sum(axis=1))),
    )


def mean_pair_differences(values: Floats) -> Floats:
    """Mean absolute difference over all pairs of an article's answers (Gini's mean difference).

    Args:
        values: shape (articles, answers), NaN where missing, two or more there in each row.

    Returns:
        Shape (articles,).
    """
    total = np.zeros(len(values))
    pairs = np.zeros(len(values))
    for first in range(values.shape[1]):
        for second in range(first):
            difference = np.abs(values[:, first] - values[:, second])
            there = np.isfinite(difference)
            total += np.where(there, difference, 0.0)
            pairs += there
    return ratio(total, pairs)
