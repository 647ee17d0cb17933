"""Train the student of a filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillery_core.filters import Filter
from distillery_core.stages.project import Project, adopt
from distillery_core.tracking import track
from distillery_core.types import Progress, silent

if TYPE_CHECKING:
    from distillery_core.student.training import TrainResult


def train(
    project: Project,
    filter: Filter,
    *,
    data_dir: Path | None = None,
    output_dir: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    mlflow: bool = True,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda line: None,
) -> TrainResult:
    """Train on a dataset folder; the model lands in the filter's home in the project.

    Args:
        overrides: fields of `TrainSettings` that win over the filter's `training` section; None
            values are ignored.
        mlflow: record parameters and metrics of every epoch.

    Raises:
        UserError, CheckFailed: as `student.training.train`.
    """
    from distillery_core.student.settings import TrainSettings
    from distillery_core.student.training import train as train_student

    filter = adopt(project, filter)
    settings = TrainSettings.from_config(filter.config.training, **(overrides or {}))
    with track(f"train {filter.slug}", project.root, enabled=mlflow) as tracker:
        return train_student(
            filter,
            data_dir or project.training_dir(filter),
            output_dir or project.home(filter),
            settings,
            tracker,
            progress,
            say,
        )
