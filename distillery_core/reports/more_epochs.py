"""Whether more epochs may be advised: one rule, so that no two parts of a report contradict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from distillery_core.student.chance import Metrics, gained, is_skilled
from distillery_core.student.selection import Chosen, goodness

Levels = Mapping[str, str]
"""Lines of the verdict that decide -> OK, REVIEW, FAIL; empty where there was no evaluation."""


def remembers(levels: Levels) -> bool:
    """Whether the model remembers its training articles: more epochs would widen that gap."""
    return levels.get("validation_train_gap") in ("REVIEW", "FAIL")


def beaten_by_constant(levels: Levels) -> bool:
    """Whether the verdict finds no skill in the model, so that a course says nothing."""
    return levels.get("skill") == "FAIL"


def still_gaining(
    by: Chosen, vals: Sequence[Metrics], kept: int, articles: int | None, levels: Levels
) -> bool:
    """Whether the last epoch was better than all before beyond chance, and more may be tried.

    Args:
        vals: validation metrics by epoch.
        kept: the epoch (1-based) whose weights were kept.
        articles: of validation; None where that is not known.
    """
    if kept < len(vals) or len(vals) < 2 or remembers(levels) or beaten_by_constant(levels):
        return False
    *earlier, last = vals
    before = max(earlier, key=lambda val: goodness(by, val))
    return is_skilled(by, last, articles) and gained(by, before, last, articles)
