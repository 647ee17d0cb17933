"""Folders that appear whole or not at all: made beside the old one, then put in its place."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from distillery_core.files import umask

_LEFT_BEHIND = re.compile(r"\.(.+)\.(?:[a-z0-9_]{8}\.tmp|previous|removed)")
"""What this module calls its own; mkdtemp draws the eight characters."""
_TRIES = 100
"""Of a rename that another process came before. Each try loses only to a reader that looks within
the microseconds between two renames, so that so many in a row are no chance."""


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder`, that only this user can read; gone after the block, unless
    it was put in the place of `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def put_in_place(fresh: Path, folder: Path) -> None:
    """Put a finished folder in the place of `folder`, which stays if that fails.

    Only one process may write the folder; others may read it, and `recover` it, meanwhile.

    Raises:
        OSError: it cannot be renamed.
    """
    recover(folder)
    for left in reversed(range(_TRIES)):
        shutil.rmtree(previous_of(folder), ignore_errors=True)
        if folder.exists():
            folder.rename(previous_of(folder))
        try:
            fresh.rename(folder)
            break
        except OSError as error:
            recover(folder)
            put_back_by_a_reader = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
            if not (put_back_by_a_reader and left):
                raise
    shutil.rmtree(previous_of(folder), ignore_errors=True)


def recover(folder: Path) -> None:
    """Put the old folder back if a swap was cut off (power, kill -9) between its two renames.

    A reader cannot tell that from a swap under way; whoever comes first, a folder stands there.

    Raises:
        OSError: the old folder stands there and cannot be renamed.
    """
    previous = previous_of(folder)
    for left in reversed(range(_TRIES)):
        if folder.exists() or not previous.is_dir():
            return
        try:
            previous.rename(folder)
            return
        except OSError:
            if not left:
                raise


def previous_of(folder: Path) -> Path:
    """Where the old folder lies while the new one is put in its place."""
    return folder.with_name(f".{folder.name}.previous")


def remove(folder: Path) -> None:
    """Remove a folder whole: cut off in between, it is not left there with half of its files.

    Raises:
        OSError: it cannot be renamed.
    """
    removed = folder.with_name(f".{folder.name}.removed")
    shutil.rmtree(removed, ignore_errors=True)
    folder.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)


def clear_away(parent: Path, names: re.Pattern[str]) -> None:
    """Clear away what a killed process left of folders with such names; nobody may be writing one.

    What was not finished goes; what was to be replaced comes back if nothing came in its place.
    """
    for path in list(parent.iterdir()) if parent.is_dir() else []:
        left = _LEFT_BEHIND.fullmatch(path.name)
        if left and names.fullmatch(left[1]) and path.is_dir() and not path.is_symlink():
            recover(parent / left[1])
            shutil.rmtree(path, ignore_errors=True)


def copy_files(
    source: Path, target: Path, copy: Callable[[Path, Path], object] = shutil.copyfile
) -> None:
    """Copy every file below a folder into another one.

    Raises:
        OSError: of the first file that cannot be copied; `shutil.copytree` would try all of them
            on a full disk, and raise an error without a number.
    """
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        copy(path, place)


def make_readable(folder: Path) -> None:
    """mkdtemp and safetensors write privately; a folder gets the modes that any new one has."""
    mask = umask()
    folder.chmod(0o777 & ~mask)
    for path in folder.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
