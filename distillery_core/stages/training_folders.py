"""Folders that training writes into: one run at a time, and checkpoints of each run apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from distillery_core.errors import UserError
from distillery_core.files import sha256_text
from distillery_core.filters import Filter
from distillery_core.oracle.writer_lock import Locked, writer_lock
from distillery_core.stages.project import Project
from distillery_core.student.checkpoints.files import CHECKPOINT_NAME, STATE, standing
from distillery_core.student.whole_folder import clear_away

if TYPE_CHECKING:
    from distillery_core.student.settings import TrainSettings

_KEY_CHARS = 8
_WRITTEN = re.compile(rf"model|model-[0-9a-f]{{12}}|{CHECKPOINT_NAME.pattern}")
"""The folders that runs write: models, those kept aside since they are in use, checkpoints."""


def is_own_home(project: Project, filter: Filter, home: Path) -> bool:
    """Whether a folder is the filter's own in the project."""
    return home.resolve() == project.home(filter).resolve()


def folder_key(project: Project, folder: Path) -> str:
    """A short name for a folder, the same after the whole project has moved."""
    return sha256_text(project.relative(folder.resolve()))[:_KEY_CHARS]


@contextmanager
def alone_in(project: Project, *folders: Path) -> Iterator[None]:
    """Let no second run write into these folders meanwhile: each would delete the other's.

    What an earlier run that was killed left half written in them is cleared away.

    Raises:
        UserError: another run does.
    """
    locks = {folder_key(project, folder): folder for folder in folders}
    with ExitStack() as held:
        for key, folder in locks.items():
            try:
                held.enter_context(writer_lock(project.locks / f"train_{key}.lock"))
            except Locked:
                hint = "wait for it to end, or give this one an --output-dir of its own"
                raise UserError("another run is training into it", folder, hint) from None
        for folder in locks.values():
            clear_away(folder, _WRITTEN)
        yield


def with_folders(
    project: Project, filter: Filter, home: Path, settings: TrainSettings
) -> TrainSettings:
    """The settings with the places of checkpoints and cached token ids in the project."""
    return replace(
        settings,
        checkpoint_dir=settings.checkpoint_dir or str(_checkpoints_of(project, filter, home)),
        cache_dir=settings.cache_dir or str(project.cache),
    )


def checkpoint_since(
    project: Project, filter: Filter, output_dir: Path | None, began: float
) -> Path | None:
    """The last checkpoint of a filter's training into a folder (None: its own) that was written
    since a time (seconds since 1970)."""
    folder = _checkpoints_of(project, filter, output_dir or project.home(filter))
    written = {path: (path / STATE).stat().st_mtime for path in standing(folder)}
    last = max(written, key=written.__getitem__, default=None)
    return last if last is not None and written[last] >= began else None


def _checkpoints_of(project: Project, filter: Filter, home: Path) -> Path:
    """Where the checkpoints of training into `home` lie: those of another folder than the filter's
    own have a folder to themselves, so that runs of several seeds do not meet."""
    folder = project.root / "training" / "checkpoints" / filter.slug
    if is_own_home(project, filter, home):
        return folder
    return folder / f"{home.resolve().name}-{folder_key(project, home)}"
