"""From dimension scores to overall score and tier: pure functions of text and scores.

Order: weighted mean, minus penalties, then the lowest of all gatekeepers and caps that apply,
clipped to 0-10. Tiers are derived from the result and never stored as truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from distillery_core.filters.config import Gatekeeper, Scoring
from distillery_core.filters.filter import Filter
from distillery_core.types import SCORE_MAX, SCORE_MIN, Scores

_DECIMALS = 9
"""Keeps what is 2.5 on paper from falling below a tier at 2.5 by a binary fraction."""


@dataclass(frozen=True, slots=True)
class Overall:
    """An overall score in [0, 10].

    `raw` is the weighted mean before rules; `applied` names the rules that changed the value.
    """

    value: float
    raw: float
    applied: tuple[str, ...] = ()


def weighted_mean(filter: Filter, scores: Scores) -> float:
    """Mean of the dimensions weighted as the config says (weights normalised to sum to 1)."""
    total = sum(filter.weights)
    weighted = sum(w * scores[d] for d, w in zip(filter.dimensions, filter.weights, strict=True))
    return round(weighted / total, _DECIMALS)


def overall(filter: Filter, scores: Scores, text: str) -> Overall:
    """Apply the filter's score rules.

    Args:
        scores: every dimension of the filter, 0-10.
        text: title and content, which caps and penalties search.
    """
    raw = weighted_mean(filter, scores)
    value, applied = raw, []
    for name, amount in _penalties(filter.config.scoring, text):
        value -= amount
        applied.append(name)
    for name, limit in _limits(filter.config.scoring, scores, text):
        if value > limit:
            value = limit
            applied.append(name)
    return Overall(min(max(value, SCORE_MIN), SCORE_MAX), raw, tuple(applied))


def tier(filter: Filter, value: float) -> str:
    """The name of the highest tier whose cut the overall score reaches."""
    return next(t.name for t in filter.config.scoring.tiers if value >= t.at)


def _penalties(scoring: Scoring, text: str) -> Iterator[tuple[str, float]]:
    for rule in scoring.penalties:
        if rule.matches(text):
            yield f"penalty {rule.name}", rule.subtract


def _limits(scoring: Scoring, scores: Scores, text: str) -> Iterator[tuple[str, float]]:
    for gatekeeper in scoring.gatekeepers:
        if _holds(gatekeeper, scores):
            yield f"gatekeeper {gatekeeper.dimension}", gatekeeper.overall_at_most
    for cap in scoring.caps:
        if cap.matches(text):
            yield f"cap {cap.name}", cap.overall_at_most


def _holds(rule: Gatekeeper, scores: Scores) -> bool:
    if scores[rule.dimension] >= rule.below:
        return False
    return not any(scores[lift.dimension] >= lift.at_least for lift in rule.unless)
