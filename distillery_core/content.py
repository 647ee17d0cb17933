"""Finds what a project declares: its own files first, then the copy that the wheel carries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from distillery_core.errors import UserError

Kind = Literal["agents", "filters", "pipelines", "stacks"]

_PACKAGE = Path(__file__).resolve().parent
CARRIED = "_content"
"""The folder of a wheel's package that holds the shipped content."""

_PROJECT_MARKS = ("oracles.yaml", "filters")


def project_root(start: Path | None = None) -> Path:
    """The nearest folder at or above `start` that is a distillery project, else `start` itself.

    A project is known by an `oracles.yaml` or a `filters/` folder.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if any((folder / mark).exists() for mark in _PROJECT_MARKS):
            return folder
    return here


def shipped_root() -> Path:
    """The content that comes with the package: `_content` in a wheel, the checkout in a clone."""
    carried = _PACKAGE / CARRIED
    return carried if carried.is_dir() else _PACKAGE.parent


def content_roots(kind: Kind, project: Path) -> Iterator[tuple[Path, str]]:
    """The folders to look in, best first, each with the word for where it comes from."""
    seen: set[Path] = set()
    for root, origin in ((project, "project"), (shipped_root(), "shipped")):
        folder = (root / kind).resolve()
        if folder.is_dir() and folder not in seen:
            seen.add(folder)
            yield folder, origin


def find_content(kind: Kind, name: str, project: Path) -> Path:
    """The file or folder `name` of a kind, the project's before the shipped one.

    Raises:
        UserError: neither has it.
    """
    for folder, _ in content_roots(kind, project):
        if (folder / name).exists():
            return folder / name
    raise UserError(
        f"no {kind}/{name}", where=project, hint="`distillery init` lays the folders out"
    )


def find_file(name: str, project: Path) -> Path:
    """A top-level file such as `oracles.yaml`, the project's before the shipped one.

    Raises:
        UserError: neither has it.
    """
    for root in (project, shipped_root()):
        if (root / name).is_file():
            return root / name
    raise UserError(f"no {name}", where=project, hint="`distillery init` writes one")
