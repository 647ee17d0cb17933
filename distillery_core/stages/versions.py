"""The other versions of a filter that an evaluation looks at: the incumbent, and all the rest."""

from __future__ import annotations

from pathlib import Path

from distillery_core.agents.incumbent import IncumbentModel
from distillery_core.agents.tripwires import OtherVersion
from distillery_core.errors import UserError
from distillery_core.filters import Filter, resolve_filter
from distillery_core.filters.filter import CONFIG
from distillery_core.stages.project import Project, project_of
from distillery_core.stages.promote import promoted, promoted_model

MODEL = "model"


def incumbent(
    project: Project, filter: Filter, model_dir: Path, against: str | None
) -> IncumbentModel | str:
    """The version to compare a model with, or why there is none.

    Args:
        model_dir: of the model that is judged.
        against: a folder or `NAME:vN`; None: the promoted version, else the newest older one that
            has a model.

    Raises:
        UserError: what was named has no model, or is the judged model itself.
    """
    if against is not None:
        return _named(project, model_dir, against)
    entry = promoted(project, filter.name)
    if entry is not None and entry.version != filter.version:
        older = resolve_filter(f"{filter.name}:v{entry.version}", project.root)
        _, folder = promoted_model(project, filter.name)
        return IncumbentModel(older.label, folder, project.training_dir(older))
    for version in range(filter.version - 1, 0, -1):
        folder = project.root / "filters" / filter.name / f"v{version}"
        if (folder / MODEL).is_dir() and (folder / CONFIG).is_file():
            older = resolve_filter(f"{filter.name}:v{version}", project.root)
            return IncumbentModel(older.label, folder / MODEL, project.training_dir(older))
    return "no older version has a model"


def _named(project: Project, model_dir: Path, against: str) -> IncumbentModel:
    path = Path(against)
    if path.is_dir():
        folder = path if (path / CONFIG).is_file() else path.parent
        other, theirs = resolve_filter(str(folder), project.root), project_of(str(folder))
        found = folder / MODEL if folder == path else path
    else:
        other, theirs = resolve_filter(against, project.root), project
        found = project.home(other) / MODEL
    if not found.is_dir():
        raise UserError(f"{other.label} has no model to compare with", where=found)
    if found.resolve() == model_dir.resolve():
        raise UserError(f"{other.label} is the model that is judged", hint="name another version")
    return IncumbentModel(other.label, found, theirs.training_dir(other), asked_for=True)


def other_versions(project: Project, filter: Filter) -> list[OtherVersion]:
    """Every other version's folder in the project, by name."""
    home = project.home(filter)
    folders = sorted(home.parent.glob("v*")) if home.parent.is_dir() else []
    return [
        OtherVersion(f"{filter.name}:{folder.name}", folder)
        for folder in folders
        if folder.is_dir() and folder != home
    ]
