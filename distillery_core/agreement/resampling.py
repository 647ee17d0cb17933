"""Intervals of any statistic that can be written with a weight for each article.

A resample with replacement (Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 13) is
nothing but how often each article counts. So a statistic is a function of weights, shape
(resamples, articles), and one matrix product gives it for a thousand resamples at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from distillery_core.agreement.ratings import Floats

Statistic = Callable[[Floats], Floats]
"""Weights of shape (resamples, articles) to values of shape (resamples,), NaN where undefined."""

RESAMPLES = 1000
_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % percentile interval; NaN throughout where it is not defined."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether it is defined."""
        return bool(np.isfinite(self.value))


UNKNOWN = Estimate(float("nan"), float("nan"), float("nan"))


def estimate(
    statistic: Statistic, articles: int, *, seed: int = 0, resamples: int = RESAMPLES
) -> Estimate:
    """A statistic of all articles, and its interval over resamples of them.

    The same seed draws the same resamples, so that estimates of one set of articles go together.
    """
    if articles == 0:
        return UNKNOWN
    value = float(statistic(np.ones((1, articles)))[0])
    if not np.isfinite(value):
        return UNKNOWN
    blocks = [statistic(weights) for weights in resampled_weights(articles, seed, resamples)]
    drawn = np.concatenate(blocks)
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, (0.025, 0.975)) if len(drawn) else (value, value)
    return Estimate(value, float(low), float(high))


def resampled_weights(articles: int, seed: int, resamples: int) -> Iterator[Floats]:
    """How often each article is drawn in each resample, in blocks so that memory stays bounded."""
    if articles * resamples <= _CELLS:
        yield _kept(articles, seed, resamples)
        return
    random = np.random.default_rng(seed)
    block = max(1, _CELLS // articles)
    for start in range(0, resamples, block):
        yield _drawn(random, articles, min(block, resamples - start))


@lru_cache(maxsize=2)
def _kept(articles: int, seed: int, resamples: int) -> Floats:
    """One report asks for the same resamples dozens of times."""
    weights = _drawn(np.random.default_rng(seed), articles, resamples)
    weights.setflags(write=False)
    return weights


def _drawn(random: np.random.Generator, articles: int, size: int) -> Floats:
    drawn = random.integers(articles, size=(size, articles))
    drawn += np.arange(size)[:, None] * articles
    counts = np.bincount(drawn.ravel(), minlength=size * articles)
    found: Floats = counts.reshape(size, articles).astype(np.float64)
    return found


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Quotients, NaN where the denominator is not above zero."""
    safe = np.where(denominator > 0, denominator, np.nan)
    found: Floats = numerator / safe
    return found
