"""Train the student of a filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillery_core.errors import UserError
from distillery_core.filters import Filter
from distillery_core.plugins.manager import load_plugins
from distillery_core.stages.project import Project, adopt
from distillery_core.stages.promote import keep_promoted
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
        UserError, CheckFailed: as the backend's, by default `student.training.train`.
    """
    from distillery_core.student.record import HISTORY, METADATA
    from distillery_core.student.settings import TrainSettings

    filter = adopt(project, filter)
    train_student = _backend(filter.config.training.backend)
    home = output_dir or project.home(filter)
    settings = TrainSettings.from_config(filter.config.training, **(overrides or {}))
    if output_dir is None:
        keep_promoted(project, filter)
    with track(f"train {filter.slug}", project.root, enabled=mlflow) as tracker:
        data = data_dir or project.training_dir(filter)
        result = train_student(filter, data, home, settings, tracker, progress, say)
        tracker.metrics({"best_val_mae": result.best_val_mae})
        for name in (HISTORY, METADATA):
            tracker.file(home / name)
    return result


def _backend(name: str) -> Callable[..., TrainResult]:
    """The training function of a student backend.

    Raises:
        UserError: no plugin brings it.
    """
    known = load_plugins().students
    if name not in known:
        hint = f"known: {', '.join(sorted(known))}; `distillery plugins` says what is broken"
        raise UserError(f"no student backend {name!r}", "training.backend", hint)
    train_student: Callable[..., TrainResult] = known[name].load()
    return train_student
