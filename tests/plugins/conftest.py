"""Writes plugins as a stranger's distribution would lie in site-packages."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from distillery_core.plugins import manager
from distillery_core.plugins.manager import Plugins

Install = Callable[..., None]
Load = Callable[[], Plugins]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on sys.path."""
    folder = tmp_path / "site-packages"
    (folder / "mood").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def install(site: Path, request: pytest.FixtureRequest) -> Install:
    """Installs a module with a dist-info that declares it under the group `distillery`."""

    def write(
        source: str, name: str = "extra", dist: str = "distillery-extra", version: str = "1.2"
    ) -> None:
        # Unique per test, because Python keeps imported modules.
        module = f"{name}_{abs(hash((request.node.nodeid, dist)))}"
        (site / f"{module}.py").write_text(source, encoding="utf-8")
        info = site / f"{dist.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        metadata = f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        with (info / "entry_points.txt").open("a", encoding="utf-8") as points:
            points.write(f"[distillery]\n{name} = {module}\n")

    return write


@pytest.fixture
def load(site: Path) -> Load:
    """Loads plugins afresh, past the cache of the process."""

    def fresh() -> Plugins:
        assert len(entry_points(group=manager.GROUP)) > 1
        return manager.load_plugins.__wrapped__()

    return fresh
