"""Training of the student, as a step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from zenml import step

from distillery_core.stages.train import train as train_stage
from distillery_core.steps import materializer as _materializer  # noqa: F401  (registers itself)
from distillery_core.steps.project_files import ProjectFiles
from distillery_core.steps.work import open_work, option, progress, say


@step
def train(
    project: str,
    filter: str,
    made_from: dict[str, str],
    training: dict[str, Any],
    dataset: ProjectFiles,
) -> Annotated[ProjectFiles, "model"]:
    """Fine-tune the student and keep the checkpoint with the best validation MAE.

    Args:
        training: settings that win over the filter's `training` section.
    """
    work = open_work(project, filter)
    dataset.put_back(work.root, say)
    train_stage(
        work.project,
        work.filter,
        data_dir=dataset.single(work.root),
        overrides=training,
        mlflow=bool(option("mlflow")),
        progress=progress,
        say=say,
    )
    return ProjectFiles.of(work.root, *model_paths(work.home))


def model_paths(home: Path) -> list[Path]:
    """What training leaves in the filter's folder: the model, its history, metadata and config."""
    names = ("training_history.json", "training_metadata.json", "training_config.yaml")
    records = [home / name for name in names]
    return [home / "model", *(path for path in records if path.is_file())]
