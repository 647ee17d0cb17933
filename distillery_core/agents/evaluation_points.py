"""Every test article with its labels and predictions, for the interactive plots of the report."""

from __future__ import annotations

from dataclasses import dataclass

from distillery_core.agents.evaluation_evidence import EvaluationEvidence
from distillery_core.reports.markdown import cut, one_line
from distillery_core.student.measures.metrics import Array, article_errors

_TITLE_CHARS = 90
_DIGITS = 2


@dataclass(frozen=True, slots=True)
class Points:
    """Predictions against labels of the test split, 0-10.

    `labels` and `predictions` are [articles][dimensions], rounded to hundredths; `labelled` and
    `predicted` are overall scores after rules, `errors` the mean absolute error over dimensions,
    all three as they were measured; `ids` and `titles` name the articles.
    """

    dimensions: tuple[str, ...]
    ids: list[str]
    titles: list[str]
    labelled: list[float]
    predicted: list[float]
    errors: list[float]
    labels: list[list[float]]
    predictions: list[list[float]]


def points(evidence: EvaluationEvidence) -> Points:
    """The test split as points, in its own order."""
    named = len(evidence.articles) == len(evidence.test)
    articles = evidence.articles if named else ()
    return Points(
        dimensions=evidence.dimensions,
        ids=[one_line(one.id) for one in articles],
        titles=[cut(one_line(one.title), _TITLE_CHARS) for one in articles],
        labelled=evidence.labelled_overall.tolist(),
        predicted=evidence.overall.tolist(),
        errors=article_errors(evidence.test.predictions, evidence.test.labels).tolist(),
        labels=_rounded(evidence.test.labels),
        predictions=_rounded(evidence.test.predictions),
    )


def _rounded(values: Array) -> list:  # type: ignore[type-arg]  # of numbers, or of lists of them
    rounded: list = values.astype(float).round(_DIGITS).tolist()  # type: ignore[type-arg]
    return rounded
