"""Which checkpoints stand in a folder: the newest, the interrupted, and those that can go."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from distillery_core.errors import UserError
from distillery_core.student.run_state import STATE, RunState, stored_state

NEWEST = "newest"
FINISHED = "finished"
"""An empty file in a checkpoint whose run has ended and needs it no more."""
_NAME = re.compile(r"(epoch|step)_(\d+)")


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the newest last, after it those that cannot be read."""
    if not folder.is_dir():
        return []
    found = [p for p in folder.iterdir() if _NAME.fullmatch(p.name) and (p / STATE).is_file()]
    return sorted(found, key=_order_of)


def mark_finished(folder: Path, run: str) -> None:
    """Note in its checkpoints that a run has ended; a full disk is no matter here."""
    for path in _of_run(folder, run):
        with suppress(OSError):
            (path / FINISHED).touch()


def unfinished(folder: Path) -> Path | None:
    """The newest checkpoint of a run that was interrupted; None where there is none that can be
    read."""
    found = [path for path in checkpoints(folder) if not (path / FINISHED).exists()]
    return next((path for path in reversed(found) if _glance(path) is not None), None)


def prune(folder: Path, run: str, keep: int) -> None:
    """Leave the newest `keep` checkpoints of this run, and none of an earlier one."""
    for path in set(checkpoints(folder)) - set(_of_run(folder, run)[-keep:]):
        shutil.rmtree(path, ignore_errors=True)


def find_checkpoint(resume: str, folder: Path | None) -> Path:
    """The checkpoint that `--resume` names: a path, or the newest.

    Raises:
        UserError: there is none.
    """
    if resume != NEWEST:
        path = Path(resume)
        if (path / STATE).is_file():
            return path
        inside = checkpoints(path)
        if inside:
            return inside[-1]
        raise UserError("no checkpoint stands there", where=path, hint=_listing(path))
    found = checkpoints(folder) if folder is not None else []
    if not found:
        raise UserError(
            "there is no checkpoint to resume from",
            where=folder,
            hint="leave --resume out to begin anew",
        )
    return found[-1]


def damaged_checkpoint(path: Path, why: Exception | str) -> UserError:
    """The checkpoint is not as it was written; the hint names the others."""
    if isinstance(why, ValidationError):
        first = why.errors()[0]
        why = f"{STATE}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return UserError(f"the checkpoint is damaged: {why}", where=path, hint=_listing(path))


def _of_run(folder: Path, run: str) -> list[Path]:
    states = [(path, _glance(path)) for path in checkpoints(folder)]
    return [path for path, state in states if state is not None and state.run == run]


def _order_of(path: Path) -> tuple[bool, int, int]:
    """Epoch and batch, by which checkpoints of one run follow each other. One that cannot be read
    comes after them, so that --resume names it and does not pass over it."""
    state = _glance(path)
    return (True, 0, 0) if state is None else (False, state.position.epoch, state.position.batch)


def _glance(path: Path) -> RunState | None:
    """A checkpoint's state as it stands there; None where it cannot be read."""
    try:
        return stored_state(path)
    except (OSError, ValueError):
        return None


def _listing(missed: Path) -> str:
    """The checkpoints beside one that is not to be had."""
    beside = [path for path in checkpoints(missed.parent) if path.name != missed.name]
    found = ", ".join(path.name for path in beside)
    return f"there are: {found}" if found else "leave --resume out to begin anew"
