"""How well articles of interest are found: the overall score, against the filter's lowest tier of
interest. For rare content this says what a mean error cannot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distillery_core.filters.filter import Filter
from distillery_core.filters.score_rules import overall
from distillery_core.student.measures.metrics import Array, average_precision, operating_point


def overall_scores(filter: Filter, scores: Array, texts: Sequence[str]) -> Array:
    """Overall scores after rules of many articles, float64 [articles].

    Args:
        scores: [articles, dimensions] in the filter's order.
        texts: title and content of each, which caps and penalties search.
    """
    names = filter.dimensions
    return np.array(
        [
            overall(filter, dict(zip(names, map(float, row), strict=True)), text).value
            for row, text in zip(scores, texts, strict=True)
        ],
        dtype=np.float64,
    )


def needle_metrics(filter: Filter, overall: Array, labelled: Array) -> dict[str, float | None]:
    """Recall, precision and average precision of "overall at or above the operating point".

    None where there is nothing to count.
    """
    threshold = filter.operating_point
    point = operating_point(overall, labelled, threshold)
    return {
        "needle_recall": point.recall,
        "needle_precision": point.precision,
        "needle_average_precision": average_precision(labelled >= threshold, overall),
    }
