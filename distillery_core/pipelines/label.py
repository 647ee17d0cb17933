"""Pipeline `label`: label a batch of articles behind the calibration gate."""

from __future__ import annotations

from distillery_core.pipelines.checked import gated_pipeline
from distillery_core.pipelines.scope import open_scope
from distillery_core.pipelines.wiring import calibrated_before, delivered, labelled
from distillery_core.steps.verdict import FileRef


@gated_pipeline("validation_gate", "label", "deliver")
def label(
    filter: str,
    input: str,
    project: str | None = None,
    oracle: str | None = None,
    budget: float | None = None,
    concurrency: int | None = None,
    limit: int | None = None,
    max_bad: float = 0.01,
    wait_for_approval: float | None = None,
) -> None:
    """Label articles with a prompt whose calibration passed; see `calibrate` for the parameters.

    Args:
        limit: at most so many articles.
        max_bad: share of rows that may be set aside.
        wait_for_approval: minutes to stand still at a REVIEW until somebody approves it.
    """
    scope = open_scope(filter, project, oracle)
    articles = FileRef.of(scope.path(input))
    permit = calibrated_before(scope)
    labels, aside = labelled(scope, articles, limit, max_bad, permit)
    delivered(scope, labels, aside)
