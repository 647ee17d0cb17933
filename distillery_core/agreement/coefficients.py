"""Coefficients of agreement among all raters: Krippendorff's alpha and intraclass correlations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from distillery_core.agreement.ratings import Floats
from distillery_core.agreement.resampling import Estimate, estimate, ratio

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Agreement of all raters on one dimension; 1 is perfect, 0 is chance.

    Attributes:
        articles: scored by two raters or more, which alpha rests on.
        alpha: Krippendorff's alpha with the interval metric.
        complete: articles scored by every rater, which the ICCs rest on.
        icc_1: ICC(1,1): any single answer, raters not told apart (repeats of one oracle).
        icc_2: ICC(2,1): a single rater, absolute agreement; a rater's offset counts as error.
        icc_3: ICC(3,1): a single rater, consistency; offsets do not count. What it lies above
            ICC(2,1) is bias between the raters.
        icc_2k: ICC(2,k): the mean of all raters, absolute agreement.
    """

    articles: int
    alpha: Estimate
    complete: int
    icc_1: Estimate
    icc_2: Estimate
    icc_3: Estimate
    icc_2k: Estimate


def coefficients(values: Floats, *, seed: int = 0, resamples: int = 1000) -> Coefficients:
    """All coefficients of one dimension.

    Args:
        values: shape (articles, raters), NaN where missing.
    """
    pairable = values[np.isfinite(values).sum(axis=1) >= 2]
    complete = values[np.isfinite(values).all(axis=1)] if values.shape[1] > 1 else values[:0]
    of = partial(estimate, articles=len(complete), seed=seed, resamples=resamples)
    return Coefficients(
        articles=len(pairable),
        alpha=estimate(
            partial(krippendorff_alpha, pairable), len(pairable), seed=seed, resamples=resamples
        ),
        complete=len(complete),
        icc_1=of(lambda weights: icc(complete, weights).icc_1),
        icc_2=of(lambda weights: icc(complete, weights).icc_2),
        icc_3=of(lambda weights: icc(complete, weights).icc_3),
        icc_2k=of(lambda weights: icc(complete, weights).icc_2k),
    )


def krippendorff_alpha(values: Floats, weights: Floats) -> Floats:
    """Krippendorff's alpha, interval metric, any number of raters, missing answers allowed.

    1 - observed / expected disagreement, section "Any number of observers, any metric" in
    Krippendorff (2011), Computing Krippendorff's Alpha-Reliability. With squared differences both
    follow from each article's number, sum and sum of squares of its scores.

    Args:
        values: shape (articles, raters); an article with fewer than two scores does not count.
        weights: shape (resamples, articles).

    Returns:
        Shape (resamples,); NaN where nothing varies.
    """
    there = np.isfinite(values)
    count = there.sum(axis=1).astype(np.float64)
    usable = np.where(count >= 2, count, 0.0)
    scores = np.where(there & (usable > 0)[:, None], values, 0.0)
    scores = np.where(there & (usable > 0)[:, None], scores - _centre(scores, there, usable), 0.0)
    sums, squares = scores.sum(axis=1), (scores**2).sum(axis=1)
    within = 2 * (usable * squares - sums**2) / np.maximum(usable - 1, 1)
    n = weights @ usable
    observed = ratio(weights @ within, n)
    expected = ratio(2 * (n * (weights @ squares) - (weights @ sums) ** 2), n * (n - 1))
    found: Floats = 1 - ratio(observed, np.where(expected > _ROUNDING, expected, 0.0))
    return found


def _centre(scores: Floats, there: Floats, usable: Floats) -> float:
    """The mean, taken off first so that squares of large scores do not lose their differences."""
    total = float(usable.sum())
    return float(scores[there].sum()) / total if total else 0.0


class IntraclassCorrelations(NamedTuple):
    """Shrout and Fleiss's coefficients by their names, each of shape (resamples,)."""

    icc_1: Floats
    icc_2: Floats
    icc_3: Floats
    icc_2k: Floats


def icc(values: Floats, weights: Floats) -> IntraclassCorrelations:
    """ICC(1,1), ICC(2,1), ICC(3,1) and ICC(2,k) of complete ratings.

    Shrout and Fleiss (1979), Intraclass correlations: uses in assessing rater reliability,
    Psychological Bulletin 86, 420-428; mean squares of the one-way and the two-way analysis of
    variance.

    Args:
        values: shape (articles, raters), two raters or more, none missing.
        weights: shape (resamples, articles).
    """
    k = values.shape[1]
    n = weights.sum(axis=1)
    centred = values - values.mean()
    means = centred.mean(axis=1)
    grand = weights @ means / n
    rows = k * (weights @ means**2 - n * grand**2)
    columns = n * (((weights @ centred) / n[:, None] - grand[:, None]) ** 2).sum(axis=1)
    total = weights @ (centred**2).sum(axis=1) - n * k * grand**2
    between = ratio(rows, n - 1)
    raters = columns / (k - 1)
    within = ratio(total - rows, n * (k - 1))
    error = ratio(np.maximum(total - rows - columns, 0.0), (n - 1) * (k - 1))
    return IntraclassCorrelations(
        icc_1=_share(between - within, between + (k - 1) * within),
        icc_2=_share(between - error, between + (k - 1) * error + k * (raters - error) / n),
        icc_3=_share(between - error, between + (k - 1) * error),
        icc_2k=_share(between - error, between + (raters - error) / n),
    )


def _share(part: Floats, whole: Floats) -> Floats:
    """NaN where there is no variance at all."""
    return ratio(part, np.where(whole > _ROUNDING, whole, 0.0))
