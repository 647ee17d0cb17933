"""Has an oracle drifted? The same articles asked again, compared with their first answers.

Looking often finds differences by chance alone, so the evidence that a round needs grows with its
number: round r may be wrong with probability a * 6 / (pi r)^2, shared among the dimensions. These
sum to a over all rounds however many follow (a union bound), so a stable oracle stops a whole job
with probability a = 5 % at most, however noisy it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FALSE_ALARMS = 0.05
"""Probability that a stable oracle is ever said to have drifted during a job."""

_FEWEST = 5


@dataclass(frozen=True, slots=True)
class Drift:
    """One dimension in one round: mean of new minus first answer, with the round's interval.

    `fired`: the interval excludes zero, and the bias is larger than the limit.
    """

    dimension: str
    bias: float
    low: float
    high: float
    fired: bool

    def words(self) -> str:
        """`harm +1.20 (+0.80 to +1.60)`."""
        return f"{self.dimension} {self.bias:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


@dataclass(frozen=True, slots=True)
class CanaryRound:
    """One round: the articles asked again, after how many new answers, and what came out."""

    round: int
    articles: int
    after_answers: int
    drifts: tuple[Drift, ...]

    @property
    def fired(self) -> tuple[Drift, ...]:
        """The dimensions that have drifted."""
        return tuple(drift for drift in self.drifts if drift.fired)

    @property
    def largest(self) -> Drift | None:
        """The dimension with the largest bias; None where too few answers came."""
        return max(self.drifts, key=lambda drift: abs(drift.bias), default=None)


def drifts_between(
    first: Sequence[Mapping[str, float]],
    now: Sequence[Mapping[str, float]],
    *,
    round: int,
    limit: float,
) -> tuple[Drift, ...]:
    """Compare two answers to each article, by dimension.

    Intervals are Student's for the mean of paired differences; where all differences are equal they
    have no width.

    Args:
        first, now: scores of the same articles in the same order.
        round: counted from 1.
        limit: points that a bias has to exceed.

    Returns:
        Empty for fewer than five articles, from which nothing follows.
    """
    if len(first) < _FEWEST:
        return ()
    dimensions = tuple(first[0])
    error = FALSE_ALARMS * 6 / (math.pi * round) ** 2 / len(dimensions)
    return tuple(_drift(name, first, now, error, limit) for name in dimensions)


def _drift(
    name: str,
    first: Sequence[Mapping[str, float]],
    now: Sequence[Mapping[str, float]],
    error: float,
    limit: float,
) -> Drift:
    from scipy.special import stdtrit

    pairs = zip(first, now, strict=True)
    differences = np.array([new[name] - old[name] for old, new in pairs])
    n = len(differences)
    bias = float(differences.mean())
    width = float(stdtrit(n - 1, 1 - error / 2) * differences.std(ddof=1) / math.sqrt(n))
    low, high = bias - width, bias + width
    return Drift(name, bias, low, high, abs(bias) > limit and (low > 0 or high < 0))
