"""Which checkpoints stand in a folder: the newest, the interrupted, and those that can go."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from distillery_core.errors import UserError
from distillery_core.student.checkpoints.files import FINISHED, STATE, standing
from distillery_core.student.checkpoints.state import RunState, stored_state
from distillery_core.student.whole_folder import remove

NEWEST = "newest"


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the last written last, after it those that cannot be read: so
    --resume names them and does not pass over them."""
    read = [path for path, _ in _as_written(folder)]
    return read + [path for path in standing(folder) if path not in read]


def next_number(folder: Path) -> int:
    """The number of the next checkpoint that is written into a folder: by it the newest is known,
    and not by a clock, which may be set back."""
    return 1 + max((state.number for _, state in _as_written(folder)), default=0)


def mark_finished(folder: Path, run: str) -> None:
    """Note in its checkpoints that a run has ended; a full disk is no matter here."""
    for path, state in _as_written(folder):
        if state.run == run:
            with suppress(OSError):
                (path / FINISHED).touch()


def unfinished(folder: Path) -> Path | None:
    """The newest checkpoint of a run that was interrupted; None where there is none that can be
    read."""
    found = [path for path in checkpoints(folder) if not (path / FINISHED).exists()]
    return next((path for path in reversed(found) if _glance(path) is not None), None)


def prune(written: Path, run: str, keep: int) -> None:
    """Leave the checkpoint of this run that was just written and the newest before it, `keep` in
    all.

    None of an earlier run stays, and none of this one's that was as far as one written after it:
    the run was resumed from before it, and has left it behind.
    """
    line = _line(written, run)
    if not line:  # it cannot be read back, so no other one goes for it
        return
    for path in set(standing(written.parent)) - set(line[:keep]):
        with suppress(OSError):  # the one just written stands, and that is what counts
            remove(path)


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


def _line(written: Path, run: str) -> list[Path]:
    """A run's checkpoints from the one just written back, without those left behind."""
    line: list[Path] = []
    earliest = (0, 0)
    for path, state in reversed(_as_written(written.parent)):
        follows = _place(state) < earliest if line else path == written
        if state.run == run and follows:
            line.append(path)
            earliest = _place(state)
    return line


def _as_written(folder: Path) -> list[tuple[Path, RunState]]:
    """The checkpoints in a folder that can be read, the last written last; those without a number
    come first, by their place in the run."""
    found = [(path, _glance(path)) for path in standing(folder)]
    read = [(path, state) for path, state in found if state is not None]
    return sorted(read, key=lambda one: (one[1].number, _place(one[1]), one[0]))


def _place(state: RunState) -> tuple[int, int]:
    return state.position.epoch, state.position.batch


def _glance(path: Path) -> RunState | None:
    """A checkpoint's state as it stands there; None where it cannot be read."""
    try:
        return stored_state(path)
    except (OSError, ValueError):
        return None


def _listing(missed: Path) -> str:
    """The checkpoints beside one that is not to be had, without those that are not either."""
    beside = [path for path in checkpoints(missed.parent) if path.name != missed.name]
    found = ", ".join(path.name for path in beside if _glance(path) is not None)
    return f"there are: {found}" if found else "leave --resume out to begin anew"
