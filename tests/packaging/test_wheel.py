"""The wheel: what is in it, and that it works in an empty folder without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CARRIED = ("agents", "pipelines", "stacks")
CONTENT_FOLDERS = ("agents", "filters", "stacks")

pytestmark = pytest.mark.slow


def _build(source: Path, target: Path) -> Path:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target)]
    subprocess.run([*command, str(source)], check=True, capture_output=True, text=True)
    return next(target.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(ROOT, tmp_path_factory.mktemp("core"))


@pytest.fixture(scope="module")
def plugin_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(ROOT / "plugins" / "distillery-filter-crisis", tmp_path_factory.mktemp("plugin"))


@pytest.fixture(scope="module")
def site(wheel: Path, plugin_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with only the two wheels in it; dependencies come from the running environment."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    wheels = [str(wheel), str(plugin_wheel)]
    subprocess.run([*command, "--target", str(target), *wheels], check=True)
    return target


def _distillery(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed package; PYTHONPATH comes before the checkout's editable install."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-m", "distillery_core", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _names(wheel: Path) -> Iterator[str]:
    with zipfile.ZipFile(wheel) as archive:
        yield from archive.namelist()


def test_the_only_top_level_name_is_the_package(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in _names(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"distillery_core"}


def test_content_of_the_repository_is_carried(wheel: Path) -> None:
    names = set(_names(wheel))
    tracked = subprocess.run(
        ["git", "ls-files", *CARRIED, "filters", "training/configs", "oracles.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(tracked) > 15
    assert not [path for path in tracked if f"distillery_core/_content/{path}" not in names]


def test_the_package_is_typed_and_its_data_files_are_in(wheel: Path) -> None:
    names = set(_names(wheel))
    assert {"distillery_core/py.typed", "distillery_core/oracle/prices.yaml"} <= names


def test_content_folders_hold_no_python_and_no_packages() -> None:
    for folder in CONTENT_FOLDERS:
        assert not list((ROOT / folder).rglob("*.py")), folder
    entries = list((ROOT / "pipelines").rglob("*.py"))
    assert entries
    for entry in entries:
        assert entry.name != "__init__.py"
        assert len(entry.read_text().splitlines()) <= 15, entry


def test_the_wheel_works_in_an_empty_folder(site: Path, tmp_path: Path) -> None:
    assert _distillery(site, tmp_path, "init", ".").returncode == 0
    listed = _distillery(site, tmp_path, "filter", "list")
    assert listed.returncode == 0, listed.stderr
    for name in ("uplifting", "sustainability_tech_deployment", "crisis"):
        assert name in listed.stdout
    checked = _distillery(site, tmp_path, "filter", "show", "uplifting", "--json")
    assert checked.returncode == 0, checked.stderr
    config = ("--config", "training/configs/uplifting_v1.yaml")
    planned = _distillery(site, tmp_path, "train", *config, "--plan", "--device", "H100")
    assert planned.returncode == 0, planned.stderr
    assert "Qwen/Qwen2.5-7B on H100" in planned.stdout


def test_a_round_is_judged_in_an_empty_folder(site: Path, tmp_path: Path) -> None:
    """Agents, oracles.yaml and recording all come out of the two wheels."""
    pytest.importorskip("gensim")
    code = (
        "import json; from distillery_filter_crisis.corpus import articles\n"
        "for row in articles(): print(json.dumps(row))"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    with (tmp_path / "articles.jsonl").open("w", encoding="utf-8") as rows:
        subprocess.run([sys.executable, "-c", code], env=environment, stdout=rows, check=True)
    here = ("--filter", "crisis", "--input", "articles.jsonl")
    judged = _distillery(site, tmp_path, "calibrate", *here)
    assert judged.returncode == 0, judged.stderr
    assert "PASS" in judged.stdout
    assert (tmp_path / "filters" / "crisis" / "v1" / "calibration_report.md").is_file()


def test_the_code_under_test_is_the_wheels(site: Path, tmp_path: Path) -> None:
    code = "import distillery_core; print(distillery_core.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(shown.stdout.strip()).is_relative_to(site)


def test_the_plugin_is_found_from_its_wheel(site: Path, tmp_path: Path) -> None:
    listed = _distillery(site, tmp_path, "plugins", "--json")
    assert listed.returncode == 0, listed.stderr
    assert "distillery-filter-crisis" in listed.stdout
