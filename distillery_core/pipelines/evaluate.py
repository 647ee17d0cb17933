"""Pipeline `evaluate`: judge the trained model and ask the gate before promotion."""

from __future__ import annotations

from distillery_core.pipelines.checked import gated_pipeline
from distillery_core.pipelines.scope import open_scope
from distillery_core.pipelines.wiring import EVALUATION_STEPS, evaluated, lying_there
from distillery_core.steps.train import model_paths


@gated_pipeline("dataset", "model", *EVALUATION_STEPS)
def evaluate(
    filter: str,
    project: str | None = None,
    oracle: str | None = None,
    budget: float | None = None,
    read: bool = True,
    mlflow: bool = True,
    wait_for_approval: float | None = None,
) -> None:
    """Evaluate the model that lies in the filter's folder; the run fails unless it may be promoted.

    Args:
        filter: NAME, NAME:vN or PATH.
        project: the project's folder; by default the one around the working directory.
        oracle: whom to ask to read the evidence; by default the filter's.
        budget: cap in USD on all that was ever spent on the filter.
        read: whether a model reads the evidence.
        mlflow: whether numbers and report are logged to MLflow.
        wait_for_approval: minutes to stand still at a REVIEW until somebody approves it.
    """
    scope = open_scope(filter, project, oracle)
    dataset = lying_there(scope, "dataset", scope.project.training_dir(scope.filter))
    model = lying_there(scope, "model", *model_paths(scope.project.home(scope.filter)))
    evaluated(scope, dataset, model, read)
