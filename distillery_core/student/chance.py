"""How much of a validation metric is chance, by how many articles it is of.

`articles` is the number of validation articles, None where it is not known. Articles count and not
scores: those of one article hang together.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from distillery_core.student.selection import KEYS, Chosen, goodness

SPREAD = 1.96
"""Standard errors to each side that hold 95 % of what chance gives."""

Metrics = Mapping[str, float | None]


def standard_error(by: Chosen, val: Metrics, articles: int | None) -> float | None:
    """Of a validation metric; None where the history does not hold what it takes.

    MAE: the spread of absolute errors is sqrt(RMSE^2 - MAE^2). Spearman: that of unrelated ranks,
    sqrt(1 / (n - 1)) (Kendall, Rank Correlation Methods). Recall: it would take the number of
    articles of interest, which no history holds.
    """
    if not articles or articles < 2:
        return None
    if by == "spearman":
        return sqrt(1 / (articles - 1))
    mae, rmse = val.get("mae"), val.get("rmse")
    if by == "recall" or mae is None or rmse is None:
        return None
    return sqrt(max(rmse**2 - mae**2, 0.0) / articles)


def gained(by: Chosen, before: Metrics, now: Metrics, articles: int | None) -> bool:
    """Whether an epoch was better than another by at least one standard error.

    The rule of one standard error is that of Breiman et al., Classification and Regression Trees
    (1984): of models that differ by less, none is taken to be the better one.
    """
    error = standard_error(by, now, articles)
    return error is not None and goodness(by, now) - goodness(by, before) >= error


def bound(by: Chosen, articles: int | None) -> float:
    """What the metric of a model without skill does not exceed, but for chance (95 %)."""
    error = standard_error(by, {}, articles) if by == "spearman" else None
    return SPREAD * (error or 0.0)


def is_skilled(by: Chosen, val: Metrics, articles: int | None) -> bool:
    """Whether a rank correlation or a recall is above what chance gives; an MAE alone never tells,
    it has to be compared with that of a constant."""
    return by == "mae" or (val.get(KEYS[by]) or 0.0) > bound(by, articles)
