"""Pipeline `distill`: from articles to a promoted model, the whole way behind its gates."""

from __future__ import annotations

from distillery_core.pipelines.checked import gated_pipeline
from distillery_core.pipelines.scope import open_scope
from distillery_core.pipelines.training_options import TrainingOptions
from distillery_core.pipelines.wiring import (
    CALIBRATION_STEPS,
    EVALUATION_STEPS,
    Articles,
    calibrated,
    evaluated,
    labelled,
    prepared,
    promoted,
    trained,
)
from distillery_core.steps.verdict import FileRef


@gated_pipeline(*CALIBRATION_STEPS, "label", "prepare", "train", *EVALUATION_STEPS, "promote")
def distill(
    filter: str,
    input: str,
    project: str | None = None,
    oracle: str | None = None,
    budget: float | None = None,
    concurrency: int | None = None,
    sample: str | None = None,
    validation_sample: str | None = None,
    limit: int | None = None,
    max_bad: float = 0.01,
    read: bool = True,
    probes: bool = True,
    train_ratio: float = 0.8,
    val_ratio: float = 0.1,
    test_ratio: float = 0.1,
    training: TrainingOptions | None = None,
    mlflow: bool = True,
    promote: bool = True,
    who: str | None = None,
    wait_for_approval: float | None = None,
) -> None:
    """Calibrate, label, prepare, train, evaluate and promote.

    A closed gate fails the run with its reason; after the prompt was mended, or a REVIEW approved,
    the same command goes on from there.

    Args:
        filter: NAME, NAME:vN or PATH.
        input: the articles (JSONL with id, title, content).
        project: the project's folder; by default the one around the working directory.
        oracle: name in oracles.yaml; by default the filter's.
        budget: cap in USD on all that was ever spent on the filter.
        concurrency: calls in flight; by default the oracle's.
        sample, validation_sample: samples drawn before; by default both are drawn from `input`.
        limit: label at most so many articles.
        max_bad: share of rows that may be set aside in a step.
        read: whether a model reads the evidence of both agents.
        probes: whether known attacks are tried on the oracle.
        train_ratio, val_ratio, test_ratio: shares of the split, summing to 1.
        training: settings that win over the filter's `training` section, e.g. {epochs: 1}.
        mlflow: whether parameters and metrics are logged to MLflow.
        promote: whether an accepted model is promoted.
        who: who promotes, for the record.
        wait_for_approval: minutes to stand still at a REVIEW until somebody approves it.
    """
    scope = open_scope(filter, project, oracle)
    articles = Articles.of(scope, input, sample, validation_sample)
    permit = calibrated(scope, articles, read, probes)
    labels, aside = labelled(scope, FileRef.of(scope.path(input)), limit, max_bad, permit)
    dataset = prepared(scope, labels, (train_ratio, val_ratio, test_ratio), max_bad)
    model = trained(scope, dataset, dict(training or {}))
    accepted = evaluated(scope, dataset, model, read, labels, aside)
    if promote:
        promoted(scope, accepted)
