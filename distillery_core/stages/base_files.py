"""Files as they were before a change: at a commit of the project's repository, or in a folder."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from distillery_core.errors import UserError

_SECONDS = 60


class Base(Protocol):
    """Where files are read as they were."""

    @property
    def name(self) -> str:
        """How a comment calls it."""
        ...

    def read(self, path: str) -> bytes | None:
        """The content of a file, its path relative to the project; None where there was none."""
        ...


@dataclass(frozen=True)
class FolderBase:
    """Another folder with the same project."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def read(self, path: str) -> bytes | None:
        """The content of a file there."""
        try:
            return (self.folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None


@dataclass(frozen=True)
class CommitBase:
    """A commit of the repository that the project lies in."""

    root: Path
    commit: str
    name: str

    def read(self, path: str) -> bytes | None:
        """The content of a file at that commit."""
        done = _git(self.root, "show", f"{self.commit}:./{path}")
        return done.stdout if done.returncode == 0 else None


@dataclass(frozen=True)
class NoBase:
    """Nothing to compare with."""

    name: str = ""

    def read(self, path: str) -> bytes | None:
        """Nothing was there."""
        return None


def base_of(root: Path, reference: str | None) -> Base:
    """What `--base` names: a folder, or a commit, branch or tag.

    Raises:
        UserError: neither.
    """
    if reference is None:
        return NoBase()
    if reference and Path(reference).is_dir():
        return FolderBase(Path(reference))
    found = _git(
        root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}"
    )
    if found.returncode:
        raise UserError(
            f"no folder, and no commit of this checkout: {reference}",
            where="--base",
            hint="git fetch origin, or in a shallow checkout: git fetch --depth=1 origin COMMIT",
        )
    return CommitBase(root, found.stdout.decode("ascii").strip(), reference)


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(  # noqa: S603 - no shell; the reference cannot be taken for an option
            ["git", "-C", str(root), *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"git cannot be run: {error}", where="--base") from None
