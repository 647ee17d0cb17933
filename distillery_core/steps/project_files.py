"""Files that a step wrote into the project, kept by content and put back when they are gone.

A step that is served from ZenML's cache does not run, so what it wrote into the project may have
been deleted or replaced since. Its artefact carries the files themselves; whoever needs them puts
them back first.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from distillery_core.errors import UserError
from distillery_core.files import atomic_write, now_utc, sha256_file, sha256_json

REPLACED = Path(".distillery") / "replaced"


@dataclass(frozen=True)
class ProjectFiles:
    """Files by their path below a project's root.

    Attributes:
        base: what the names are relative to: the project's root, or the copy in a store.
        sha256: name (posix, relative) -> hash of the content.
        folders: folders that belong to these files alone; anything else in them is in the way.
    """

    base: Path
    sha256: Mapping[str, str]
    folders: tuple[str, ...] = ()

    @classmethod
    def of(cls, root: Path, *paths: Path) -> ProjectFiles:
        """What a step wrote: files, and folders with all that is in them.

        Raises:
            UserError: one is missing or lies outside the project.
        """
        root = root.resolve()
        names = [_relative(root, path) for path in paths]
        folders = tuple(name for name in names if (root / name).is_dir())
        files = [file for name in names for file in _files_at(root / name)]
        return cls(root, {_relative(root, f): sha256_file(f) for f in sorted(files)}, folders)

    @classmethod
    def inside(cls, root: Path, path: Path) -> ProjectFiles:
        """As `of`, but nothing for a path outside the project, which is not ours to put back."""
        within = path.resolve().is_relative_to(root.resolve())
        return cls.of(root, path) if within else cls(root, {})

    def single(self, root: Path) -> Path:
        """Where the only folder, or else the only file, lies in a project."""
        (name,) = self.folders or self.sha256
        return root / name

    @property
    def content_sha256(self) -> str:
        """Hash of names and contents, independent of where they lie."""
        return sha256_json({"files": dict(self.sha256), "folders": list(self.folders)})

    def fill_in(self, root: Path, say: Callable[[str], None]) -> None:
        """Put back what is missing and leave what is there; for side products such as plots."""
        missing = {name: sha for name, sha in self.sha256.items() if not (root / name).exists()}
        ProjectFiles(self.base, missing).put_back(root, say)

    def put_back(self, root: Path, say: Callable[[str], None]) -> list[str]:
        """Make the project hold exactly these files; returns the names that were missing or others.

        A file that differs is moved to `.distillery/replaced/<time>/` first, so nothing is lost.

        Raises:
            UserError: the kept copy is gone or damaged.
        """
        wrong = [name for name, sha256 in self.sha256.items() if _hash(root / name) != sha256]
        for name in wrong:
            self._check_copy(name)
        aside = root / REPLACED / now_utc().replace(":", "")
        for name in [*wrong, *self._in_the_way(root)]:
            if (root / name).exists():
                say(f"{name} is not what this run's step wrote; it was moved to {aside}")
                _move(root / name, aside / name)
        for name in wrong:
            _copy(self.base / name, root / name)
            say(f"{name} was put back from the run that wrote it")
        return wrong

    def _check_copy(self, name: str) -> None:
        if _hash(self.base / name) != self.sha256[name]:
            raise UserError(
                "the artefact store no longer holds this file as its step wrote it",
                where=self.base / name,
                hint="run the step again: `steps: {NAME: {enable_cache: false}}` in the run's YAML",
            )

    def _in_the_way(self, root: Path) -> list[str]:
        found = [file for folder in self.folders for file in _files_at(root / folder, must=False)]
        return [n for n in (f.relative_to(root).as_posix() for f in found) if n not in self.sha256]


def _relative(root: Path, path: Path) -> str:
    try:
        return path.resolve().relative_to(root).as_posix()
    except ValueError:
        raise UserError(f"lies outside the project {root}", where=path) from None


def _files_at(path: Path, *, must: bool = True) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    if must and not path.is_file():
        raise UserError("a step should have written this, it is not there", where=path)
    return [path] if path.is_file() else []


def _hash(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, atomic_write(target, "wb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(os.fspath(source), os.fspath(target))
