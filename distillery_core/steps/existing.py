"""Brings what already lies in the project into a run, and puts back what a run had written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from zenml import step

from distillery_core.steps import materializer as _materializer  # noqa: F401  (registers itself)
from distillery_core.steps.project_files import ProjectFiles
from distillery_core.steps.work import say


@step(enable_cache=False)
def existing(project: str, names: list[str]) -> Annotated[ProjectFiles, "existing"]:
    """Files and folders of the project as they are now; later steps see their content."""
    root = Path(project)
    return ProjectFiles.of(root, *(root / name for name in names))


@step(enable_cache=False)
def deliver(project: str, files: ProjectFiles, set_aside: ProjectFiles | None = None) -> None:
    """Last step of a pipeline that makes files: see that the project holds them."""
    files.put_back(Path(project), say)
    if set_aside is not None:
        set_aside.fill_in(Path(project), say)
