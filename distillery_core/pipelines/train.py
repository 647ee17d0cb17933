"""Pipeline `train`: fine-tune the student on the prepared dataset."""

from __future__ import annotations

from distillery_core.pipelines.checked import gated_pipeline
from distillery_core.pipelines.scope import open_scope
from distillery_core.pipelines.training_options import TrainingOptions
from distillery_core.pipelines.wiring import delivered, lying_there, trained


@gated_pipeline("dataset", "train", "deliver")
def train(
    filter: str,
    project: str | None = None,
    training: TrainingOptions | None = None,
    mlflow: bool = True,
) -> None:
    """Train.

    Args:
        filter: NAME, NAME:vN or PATH.
        project: the project's folder; by default the one around the working directory.
        training: settings that win over the filter's `training` section, e.g. {epochs: 1}.
        mlflow: whether parameters and metrics are logged to MLflow.
    """
    scope = open_scope(filter, project)
    dataset = lying_there(scope, "dataset", scope.project.training_dir(scope.filter))
    delivered(scope, trained(scope, dataset, dict(training or {})))
