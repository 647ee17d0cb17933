"""What `distillery doctor` looks at; a finding never holds the value of a key."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from distillery_core.content import shipped_root
from distillery_core.errors import DistilleryError
from distillery_core.version import __version__

DISTRIBUTION = "distillery-core"
OLDEST_PYTHON = (3, 11)
LITTLE_DISK_GB = 5.0
"""A student of 1.5 billion parameters and its best checkpoint take about this much."""

Mark = Literal["ok", "note", "FAIL"]
Check = Callable[[Path], Iterator["Finding"]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. Only FAIL makes the exit code 1."""

    topic: str
    mark: Mark
    detail: str


def examine(project: Path) -> list[Finding]:
    """Everything, each topic for itself: one that cannot be looked at is a finding, not an end."""
    found: list[Finding] = []
    for check in (_python, _packages, _plugins, _filters, _oracles, _folders, _disk, _device):
        try:
            found.extend(check(project))
        except Exception as error:  # noqa: BLE001 - a doctor reports what it meets
            topic = check.__name__.strip("_")
            found.append(Finding(topic, "FAIL", f"{type(error).__name__}: {error}"))
    return found


def _python(_: Path) -> Iterator[Finding]:
    new_enough = sys.version_info[:2] >= OLDEST_PYTHON
    detail = f"{platform.python_version()} ({sys.executable})"
    yield Finding("python", "ok" if new_enough else "FAIL", detail)


def _packages(project: Path) -> Iterator[Finding]:
    """What distillery-core requires, what is installed, and what was tested."""
    tested = _tested_versions(project)
    yield Finding("distillery-core", "ok", __version__)
    for requirement in _requirements():
        yield _package(requirement, tested.get(canonicalize_name(requirement.name)))


def _requirements() -> list[Requirement]:
    """The plain dependencies, those of extras left out."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []
    parsed = [Requirement(line) for line in lines]
    return [r for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]


def _package(requirement: Requirement, tested: str | None) -> Finding:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        advice = f"not installed; pip install '{requirement}'"
        return Finding(requirement.name, "FAIL", advice)
    if not requirement.specifier.contains(version, prereleases=True):
        return Finding(requirement.name, "FAIL", f"{version}, needed is {requirement.specifier}")
    if tested and version.split("+")[0] != tested.split("+")[0]:
        return Finding(requirement.name, "note", f"{version}, tested was {tested}")
    return Finding(requirement.name, "ok", version)


def _tested_versions(project: Path) -> dict[str, str]:
    """Name -> version of constraints.txt, where the project or the checkout has one."""
    for folder in (project, shipped_root()):
        path = folder / "constraints.txt"
        if path.is_file():
            return dict(_pins(path.read_text(encoding="utf-8")))
    return {}


def _pins(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        try:
            pin = Requirement(line.split("#")[0].strip())
        except InvalidRequirement:
            continue
        versions = [s.version for s in pin.specifier if s.operator == "=="]
        if versions:
            yield canonicalize_name(pin.name), versions[0]


def _plugins(_: Path) -> Iterator[Finding]:
    from distillery_core.plugins.manager import load_plugins

    found = load_plugins()
    for info in found.loaded:
        yield Finding("plugin", "ok", f"{info.name} ({info.distribution})")
    for failure in found.failures:
        yield Finding("plugin", "note", f"broken: {failure}")


def _filters(project: Path) -> Iterator[Finding]:
    from distillery_core.filters import list_filters

    for entry in list_filters(project):
        if entry.error:
            yield Finding("filter", "note", f"{entry.label} cannot be loaded: {entry.error}")


def _oracles(project: Path, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    from distillery_core.oracle.spec import load_oracles

    try:
        specs = load_oracles(project)
    except DistilleryError as error:
        yield Finding("oracle", "FAIL", str(error))
        return
    for name, spec in specs.items():
        variable = spec.api_key_env
        if variable is None:
            yield Finding("oracle", "ok", f"{name}: {spec.model}, needs no key")
        elif environment.get(variable):
            yield Finding("oracle", "ok", f"{name}: {spec.model}, {variable} is set")
        else:
            yield Finding("oracle", "note", f"{name}: {spec.model}, {variable} is not set")


def _folders(project: Path) -> Iterator[Finding]:
    """The places that stages write to (an absent one counts by the folder it would be made in)."""
    for name in ("filters", "datasets", "reports", ".distillery"):
        folder = project / name
        there = next(path for path in (folder, *folder.parents) if path.exists())
        writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
        detail = f"{folder}: {'writable' if writable else 'cannot be written'}"
        yield Finding("folder", "ok" if writable else "FAIL", detail)


def _disk(project: Path) -> Iterator[Finding]:
    free_gb = shutil.disk_usage(project).free / 1e9
    yield Finding("disk", "note" if free_gb < LITTLE_DISK_GB else "ok", f"{free_gb:.1f} GB free")


def _device(_: Path) -> Iterator[Finding]:
    from distillery_core.student.computing.device import describe, pick_device, usable_cores

    yield Finding("device", "ok", f"{describe(pick_device('auto'))}, {usable_cores()} cores")
