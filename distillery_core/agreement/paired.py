"""One rater against a reference: constant offset (bias) and what is left without it (noise)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from distillery_core.agreement.ratings import Floats
from distillery_core.agreement.resampling import Estimate, estimate, ratio

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Paired:
    """A rater against a reference on the articles that both have scored.

    Attributes:
        n: those articles.
        bias: mean of rater minus reference, points; positive means too high.
        noise: standard deviation of that difference (n - 1), points: what no constant mends.
        mae: mean absolute difference, points.
        spearman: rank correlation with midranks for ties; unknown where one side is constant.
    """

    n: int
    bias: Estimate
    noise: Estimate
    mae: Estimate
    spearman: Estimate


def compare(rater: Floats, reference: Floats, *, seed: int = 0, resamples: int = 1000) -> Paired:
    """Compare two vectors of scores, NaN where one is missing; both shape (articles,)."""
    both = np.isfinite(rater) & np.isfinite(reference)
    first, second = rater[both], reference[both]
    n = len(first)
    difference = first - second
    spread = Ranked(first), Ranked(second)
    of = partial(estimate, articles=n, seed=seed, resamples=resamples)
    return Paired(
        n=n,
        bias=of(lambda weights: _mean(weights, difference)),
        noise=of(lambda weights: _deviation(weights, difference)),
        mae=of(lambda weights: _mean(weights, np.abs(difference))),
        spearman=of(
            lambda weights: _correlation(weights, *(one.midranks(weights) for one in spread))
        ),
    )


class Ranked:
    """Midranks of a vector in resamples of it, without sorting again for each one."""

    def __init__(self, values: Floats) -> None:
        unique, self._place = np.unique(values, return_inverse=True)
        self._levels = len(unique)
        self._order = np.argsort(self._place, kind="stable")
        self._starts = np.searchsorted(self._place[self._order], np.arange(self._levels))

    def midranks(self, weights: Floats) -> Floats:
        """Rank of each article in each resample, ties at their mean; shape of `weights`."""
        if not self._levels:
            return weights
        ties = np.add.reduceat(weights[:, self._order], self._starts, axis=1)
        below = np.cumsum(ties, axis=1) - ties
        ranks: Floats = (below + (ties + 1) / 2)[:, self._place]
        return ranks


def _mean(weights: Floats, values: Floats) -> Floats:
    return ratio(weights @ values, weights.sum(axis=1))


def _deviation(weights: Floats, values: Floats) -> Floats:
    n = weights.sum(axis=1)
    centred = values - values.mean()
    squares = weights @ centred**2 - (weights @ centred) ** 2 / n
    found: Floats = np.sqrt(ratio(np.maximum(squares, 0.0), n - 1))
    return found


def _correlation(weights: Floats, first: Floats, second: Floats) -> Floats:
    """Pearson's correlation in each resample, NaN where one side is constant."""
    n = weights.sum(axis=1, keepdims=True)
    x = first - (weights * first).sum(axis=1, keepdims=True) / n
    y = second - (weights * second).sum(axis=1, keepdims=True) / n
    xx, yy = _sum(weights, x, x), _sum(weights, y, y)
    scale = np.sqrt(xx * yy)
    return ratio(_sum(weights, x, y), np.where(scale > _ROUNDING, scale, 0.0))


def _sum(weights: Floats, x: Floats, y: Floats) -> Floats:
    found: Floats = np.einsum("bn,bn,bn->b", weights, x, y)
    return found
