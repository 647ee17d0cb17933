"""A plugin that cannot be imported is reported by name and version, and everything else works."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def install(site: Path, name: str, version: str, source: str) -> None:
    """A distribution in a folder that PYTHONPATH will name."""
    module = f"distillery_{name}"
    site.mkdir(exist_ok=True)
    (site / f"{module}.py").write_text(source, encoding="utf-8")
    info = site / f"{module}-{version}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: distillery-{name}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    points = f"[distillery]\n{name} = {module}\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")


def test_reported_and_the_rest_works(kit: Any, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "torn", "1.4", "raise RuntimeError('libstorm.so is missing')\n")
    install(site, "quits", "0.2", "raise SystemExit(3)\n")
    install(site, "empty", "0.3", "import no_such_module_of_anybody\n")
    environment = {"PYTHONPATH": str(site)}

    listed = kit.spawn("plugins", **environment)
    assert listed.code == 0
    assert "core" in listed.out
    assert "torn (distillery-torn 1.4): RuntimeError: libstorm.so is missing" in listed.err
    assert "quits (distillery-quits 0.2): SystemExit: 3" in listed.err
    assert "empty (distillery-empty 0.3): ModuleNotFoundError" in listed.err
    assert listed.err.count("(distillery-core ") == 3, "our version stands beside each"

    # What the broken plugin would have brought is not just "unknown".
    wanted = kit.spawn("filter", "show", "torn", **environment)
    assert wanted.code == 2
    assert "no filter 'torn'; its plugin is broken: torn (distillery-torn 1.4)" in wanted.err

    kit.serve()
    kit.articles(3)
    labelled = kit.spawn("label", "--filter", "storm", "--input", "articles.jsonl", **environment)
    assert labelled.code == 0, labelled.err
    assert "3 done" in labelled.out
