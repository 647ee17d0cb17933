"""What more labels would buy: a power law through the learning curve, with its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distillery_core.agents.evaluation_evidence import LearningCurve
from distillery_core.student.measures.bootstrap import Groups, percentile_interval, resampled_means
from distillery_core.student.measures.metrics import Array

FACTORS = (2, 4)


@dataclass(frozen=True, slots=True)
class LearningRow:
    """One share of the training labels: training articles, and the test MAE they give."""

    articles: int
    mae: float


@dataclass(frozen=True, slots=True)
class LearningGain:
    """What `factor` times the labels would make of the MAE, as far as the curve goes on.

    Attributes:
        labels: labelled articles that would be added to the whole dataset.
        change: of the MAE, negative is better, with its 95 % interval.
        cost_usd: of these labels at what the present ones cost; None where that is not known.
    """

    factor: int
    labels: int
    change: float
    low: float
    high: float
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Learning:
    """A learning curve as the report shows it; `exponent` b of MAE = a * n^-b.

    `own_base`: the predictor reads articles with the student's own base.
    """

    predictor: str
    rows: tuple[LearningRow, ...]
    exponent: float
    gains: tuple[LearningGain, ...]
    own_base: bool = False


def learning(curve: LearningCurve, groups: Groups | None = None) -> Learning:
    """Fit MAE = a * n^-b (Hestness et al. 2017) by least squares on logarithms, for the test set
    and for each bootstrap resample of it.

    The forecast starts from the MAE with all labels: b says how it goes on. The interval holds what
    the choice of test articles does, not the choice of training articles.
    """
    sizes = np.log([point.articles for point in curve.points])
    errors = np.stack([point.errors for point in curve.points], axis=1)
    means, resampled = errors.mean(axis=0), resampled_means(errors, groups)
    exponent = float(_exponents(sizes, means[:, None])[0])
    exponents = _exponents(sizes, resampled)
    gains = []
    for factor in FACTORS:
        change = float(means[-1] * (factor**-exponent - 1))
        drawn = resampled[-1] * (float(factor) ** -exponents - 1)
        found = percentile_interval(change, drawn)
        added = (factor - 1) * curve.labels
        cost = None if curve.label_cost_usd is None else added * curve.label_cost_usd
        gains.append(LearningGain(factor, added, change, found.low, found.high, cost))
    rows = [
        LearningRow(point.articles, float(mean))
        for point, mean in zip(curve.points, means, strict=True)
    ]
    return Learning(curve.predictor, tuple(rows), exponent, tuple(gains), curve.own_base)


def _exponents(sizes: Array, errors: Array) -> Array:
    """b of each column of errors [points, columns]."""
    centred = sizes - sizes.mean()
    logs = np.log(np.maximum(errors, 1e-12))
    slopes: Array = -(centred @ logs) / (centred @ centred)
    return slopes
