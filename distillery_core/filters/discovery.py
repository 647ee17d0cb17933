"""Finds filters by name, version or path: in the project, in plugins, and among the shipped."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distillery_core.content import content_roots
from distillery_core.errors import DistilleryError, UserError
from distillery_core.filters.filter import CONFIG, Filter, load_filter
from distillery_core.plugins.manager import Failure, load_plugins

_VERSION = re.compile(r"v(\d+)")
_REFERENCE = re.compile(r"(?P<name>[A-Za-z0-9_.-]+?)(?::v?(?P<version>\d+))?")


@dataclass(frozen=True, slots=True)
class FilterEntry:
    """A filter that was found, loaded or not; `error` says why it cannot be loaded."""

    name: str
    version: int
    folder: Path
    origin: str
    error: str | None = None

    @property
    def label(self) -> str:
        """`crisis:v1`."""
        return f"{self.name}:v{self.version}"


def list_filters(project: Path) -> list[FilterEntry]:
    """Every filter in sight, one entry a name and version: the project's hides a plugin's."""
    entries: dict[tuple[str, int], FilterEntry] = {}
    for entry in _candidates(project):
        entries.setdefault((entry.name, entry.version), entry)
    return [_checked(entry) for _, entry in sorted(entries.items())]


def resolve_filter(reference: str, project: Path) -> Filter:
    """Load a filter given as NAME, NAME:vN or PATH.

    NAME alone takes the newest version.

    Raises:
        UserError: nothing of that name, with near matches and failed plugins.
    """
    folder = Path(reference)
    if (folder / CONFIG).is_file():
        return load_filter(folder, _origin_of(folder, project))
    if "/" in reference:
        raise _no_filter_folder(folder)
    match = _REFERENCE.fullmatch(reference)
    found = [entry for entry in _candidates(project) if match and entry.name == match["name"]]
    if match and match["version"]:
        found = [entry for entry in found if entry.version == int(match["version"])]
    if not found:
        raise _unknown(reference, project)
    newest = max(entry.version for entry in found)
    best = next(entry for entry in found if entry.version == newest)
    return load_filter(best.folder, best.origin)


def _candidates(project: Path) -> Iterator[FilterEntry]:
    """Entries best first: project, plugins, shipped."""
    roots = list(content_roots("filters", project))
    for folder, origin in roots:
        if origin == "project":
            yield from _versions_below(folder, origin)
    for found in load_plugins().filters:
        yield from _versions_in(found.folder, found.origin)
    for folder, origin in roots:
        if origin == "shipped":
            yield from _versions_below(folder, origin)


def _versions_below(root: Path, origin: str) -> Iterator[FilterEntry]:
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        yield from _versions_in(folder, origin)


def _versions_in(folder: Path, origin: str) -> Iterator[FilterEntry]:
    """The versions of one filter: `<folder>/v1`, `<folder>/v2` ..."""
    if not folder.is_dir():
        return
    for child in sorted(folder.iterdir()):
        match = _VERSION.fullmatch(child.name)
        if match and (child / CONFIG).is_file():
            yield FilterEntry(folder.name, int(match[1]), child, origin)


def _checked(entry: FilterEntry) -> FilterEntry:
    try:
        load_filter(entry.folder, entry.origin)
    except DistilleryError as error:
        return FilterEntry(entry.name, entry.version, entry.folder, entry.origin, str(error))
    return entry


def _origin_of(folder: Path, project: Path) -> str:
    resolved = folder.resolve()
    for entry in _candidates(project):
        if entry.folder.resolve() == resolved:
            return entry.origin
    return "project"


def _no_filter_folder(folder: Path) -> UserError:
    newest = max(_versions_in(folder, "project"), key=lambda entry: entry.version, default=None)
    hint = f"did you mean {newest.folder}?" if newest else "`distillery filter list` shows all"
    return UserError(f"is not a filter: it has no {CONFIG}", where=folder, hint=hint)


def _unknown(reference: str, project: Path) -> UserError:
    labels = [label for entry in _candidates(project) for label in (entry.name, entry.label)]
    close = list(dict.fromkeys(difflib.get_close_matches(reference, labels, n=3)))
    hint = f"did you mean {' or '.join(close)}?" if close else "`distillery filter list` shows all"
    failures = load_plugins().failures
    message = f"no filter {reference!r}{_blame(reference, failures)}"
    return UserError(message, where=project, hint=hint)


def _blame(reference: str, failures: tuple[Failure, ...]) -> str:
    """A wanted filter whose plugin is broken must not read as if it did not exist."""
    name = reference.split(":", maxsplit=1)[0]
    broken = [failure for failure in failures if name.replace("_", "-") in failure.distribution]
    return "".join(f"; its plugin is broken: {failure}" for failure in broken or ())
