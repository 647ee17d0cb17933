"""Loads plugins one by one, so that a broken one names itself and the rest works."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pluggy

from distillery_core.plugins import hookspecs
from distillery_core.plugins.hookspecs import OracleProvider, StudentBackend

GROUP = "distillery"
DISABLE = "DISTILLERY_DISABLE_PLUGINS"


@dataclass(frozen=True, slots=True)
class Failure:
    """A plugin that could not be used."""

    name: str
    distribution: str
    error: str

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution}): {self.error}"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A plugin that was loaded, and the hooks it implements."""

    name: str
    distribution: str
    hooks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundFilter:
    """A filter's folder inside a plugin; `origin` is what listings show."""

    folder: Path
    origin: str


@dataclass(frozen=True, slots=True)
class Plugins:
    """Everything that plugins contribute, and what went wrong."""

    loaded: tuple[PluginInfo, ...]
    filters: tuple[FoundFilter, ...]
    oracles: dict[str, OracleProvider]
    students: dict[str, StudentBackend]
    failures: tuple[Failure, ...]


@cache
def load_plugins() -> Plugins:
    """Load every installed plugin (group `distillery`) once per process.

    `DISTILLERY_DISABLE_PLUGINS=a,b` leaves plugins out by entry-point name.
    """
    return _Loader().load(entry_points(group=GROUP))


class _Loader:
    """Registers plugins and collects their answers; each failure is kept, none is raised."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self.failures: list[Failure] = []
        self.distributions: dict[str, str] = {}

    def load(self, points: Iterable[EntryPoint]) -> Plugins:
        disabled = {name.strip() for name in os.environ.get(DISABLE, "").split(",")}
        for point in sorted(points, key=lambda p: (p.name != "core", p.name, _origin(p))):
            if point.name not in disabled:
                self._register(point)
        filters = list(self._filters())
        oracles = self._named("distillery_oracles", OracleProvider)
        students = self._named("distillery_students", StudentBackend)
        return Plugins(self._infos(), tuple(filters), oracles, students, tuple(self.failures))

    def _register(self, point: EntryPoint) -> None:
        origin = _origin(point)
        other = self.distributions.get(point.name)
        if other is not None:
            self._fail(point.name, origin, f"{other} already registered the name {point.name!r}")
            return
        plugin: Any = None
        try:
            plugin = point.load()
            self.manager.register(plugin, name=point.name)
            self._refuse_unknown_hooks(plugin)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - anybody's code may fail
            # The same module under a second name must not take the first one's registration away.
            if plugin is not None and self.manager.get_name(plugin) == point.name:
                self.manager.unregister(plugin)
            self._fail(point.name, origin, f"{type(error).__name__}: {error}")
            return
        self.distributions[point.name] = origin

    def _refuse_unknown_hooks(self, plugin: Any) -> None:
        for caller in self.manager.get_hookcallers(plugin) or ():
            if not caller.has_spec():
                raise ValueError(f"unknown hook {caller.name!r}")

    def _answers(self, hook: str, kind: type) -> Iterable[tuple[Any, str]]:
        """(item, plugin's name) of every implementation, each called in isolation."""
        # Core first, then by name, whatever order a plugin asks pluggy for: a name that core gives
        # cannot be taken from it.
        order = list(self.distributions)
        implementations = getattr(self.manager.hook, hook).get_hookimpls()
        for implementation in sorted(implementations, key=lambda i: order.index(i.plugin_name)):
            name = implementation.plugin_name
            origin = self.distributions[name]
            for item in self._call(implementation.function, name, origin):
                if isinstance(item, kind):
                    yield item, name
                else:
                    self._fail(name, origin, f"{hook} returned {item!r:.80}, not a {kind.__name__}")

    def _call(self, function: Callable[[], Any], name: str, origin: str) -> list[Any]:
        try:
            return list(function())
        except (Exception, SystemExit) as error:  # noqa: BLE001 - anybody's code may fail
            self._fail(name, origin, f"{type(error).__name__}: {error}")
            return []

    def _filters(self) -> Iterable[FoundFilter]:
        for folder, name in self._answers("distillery_filters", Path):
            if folder.is_dir():
                yield FoundFilter(folder, f"plugin {self.distributions[name]}")
            else:
                error = f"distillery_filters returned {folder}, which is no folder"
                self._fail(name, self.distributions[name], error)

    def _named(self, hook: str, kind: type) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for item, name in self._answers(hook, kind):
            if item.name in found:
                error = f"{hook}: the name {item.name!r} is taken"
                self._fail(name, self.distributions[name], error)
            else:
                found[item.name] = item
        return found

    def _infos(self) -> tuple[PluginInfo, ...]:
        infos = []
        for name, origin in self.distributions.items():
            callers = self.manager.get_hookcallers(self.manager.get_plugin(name)) or []
            infos.append(PluginInfo(name, origin, tuple(sorted(c.name for c in callers))))
        return tuple(infos)

    def _fail(self, name: str, distribution: str, error: str) -> None:
        self.failures.append(Failure(name, distribution, error))


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "unknown distribution"
