"""Several answers about one article become one label, by median or by mean."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Literal

from distillery_core.types import Scores

Aggregate = Literal["median", "mean"]

_ROUND = 6


def combined_scores(answers: Sequence[Scores], aggregate: Aggregate) -> dict[str, float]:
    """One score a dimension, from one answer or more, each with the same dimensions.

    The median of an even number is the mean of the middle two. The digits that binary fractions
    add are cut off, so that the same answers in another order give the same label.
    """
    combine = median if aggregate == "median" else fmean
    names = answers[0].keys()
    return {name: round(float(combine([one[name] for one in answers])), _ROUND) for name in names}


def is_majority(valid: int, asked: int) -> bool:
    """Whether more than half of the answers asked for are valid; fewer make no label."""
    return 2 * valid > asked
