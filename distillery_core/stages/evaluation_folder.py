"""Where the report on a model lies: the filter's own in its folder, others beside the model."""

from __future__ import annotations

import os
from pathlib import Path

from distillery_core.filters import Filter
from distillery_core.filters.filter import CONFIG
from distillery_core.stages.project import Project
from distillery_core.stages.training_folders import folder_key
from distillery_core.student.model_card import CARD


def model_in(folder: Path) -> Path:
    """The model of a folder that training wrote into, or the folder itself where it is one."""
    inside = folder / "model"
    return inside if (inside / CARD).is_file() and not (folder / CARD).exists() else folder


def is_own_model(project: Project, filter: Filter, model: Path) -> bool:
    """Whether it is the filter's own model, which alone can be approved and promoted."""
    return model.resolve() == (project.home(filter) / "model").resolve()


def evaluation_folder(project: Project, filter: Filter, model: Path) -> Path:
    """The folder of `model_evaluation.md`. The report on a model from elsewhere goes beside it, but
    never into a filter's folder, whose report is on that filter's own model, nor where nothing can
    be written."""
    if is_own_model(project, filter, model):
        return project.home(filter)
    folder = model.resolve().parent
    if not (folder / CONFIG).is_file() and os.access(folder, os.W_OK):
        return folder
    return project.reports_dir(filter) / f"{model.name}-{folder_key(project, model)}"
