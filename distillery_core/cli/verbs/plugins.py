"""`distillery plugins`: what is installed, what it brings, and what could not be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distillery_core.cli.console import note, print_json, print_table
from distillery_core.cli.options import JsonOption
from distillery_core.cli.verb import single, verb
from distillery_core.version import __version__

if TYPE_CHECKING:
    from distillery_core.plugins.manager import Plugins

app = single()


@verb(app, "distillery plugins", "DISTILLERY_DISABLE_PLUGINS=crisis distillery plugins --json")
def plugins(json: JsonOption = False) -> None:
    """List installed plugins, the hooks they implement, and those that are broken.

    A broken plugin never makes this fail. DISTILLERY_DISABLE_PLUGINS=a,b leaves plugins out.
    """
    from distillery_core.plugins.manager import load_plugins

    found = load_plugins()
    if json:
        print_json(_facts(found))
        return
    print_table(
        ("plugin", "distribution", "hooks"),
        [(info.name, info.distribution, ", ".join(info.hooks)) for info in found.loaded],
    )
    for failure in found.failures:
        note(f"broken: {failure} (distillery-core {__version__})")


def _facts(found: Plugins) -> dict[str, Any]:
    return {
        "distillery_core": __version__,
        "plugins": [
            {"name": info.name, "distribution": info.distribution, "hooks": list(info.hooks)}
            for info in found.loaded
        ],
        "filters": [{"folder": str(f.folder), "origin": f.origin} for f in found.filters],
        "oracles": {name: provider.factory for name, provider in found.oracles.items()},
        "students": {name: backend.factory for name, backend in found.students.items()},
        "failures": [
            {"name": f.name, "distribution": f.distribution, "error": f.error}
            for f in found.failures
        ],
    }
