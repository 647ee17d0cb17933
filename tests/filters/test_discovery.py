"""Filters by name, version or path; who hides whom; near matches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.filters import discovery, list_filters, resolve_filter
from distillery_core.plugins.manager import Failure, FoundFilter, Plugins

MakeFilter = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "filters").mkdir(parents=True)
    return root


@pytest.fixture
def plugin_folder(tmp_path: Path, make_filter: MakeFilter, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin that brings `mood:v1`, and another one that is broken."""
    folder = make_filter(root=tmp_path / "plugin").parent
    failure = Failure("gloom", "distillery-filter-gloom 0.1", "ImportError: no module named sun")
    plugins = Plugins((), (FoundFilter(folder, "plugin mood 0.1"),), {}, {}, (failure,))
    monkeypatch.setattr(discovery, "load_plugins", lambda: plugins)
    return folder


def test_name_takes_the_newest_version(project: Path, make_filter: MakeFilter) -> None:
    for version in (2, 10, 9):
        make_filter(root=project / "filters", version=version)
    assert resolve_filter("mood", project).version == 10


@pytest.mark.parametrize("reference", ["mood:v2", "mood:2"])
def test_version_is_taken_by_its_number(
    project: Path, make_filter: MakeFilter, reference: str
) -> None:
    for version in (1, 2, 3):
        make_filter(root=project / "filters", version=version)
    assert resolve_filter(reference, project).label == "mood:v2"


def test_path_is_loaded_as_it_is(tmp_path: Path, project: Path, make_filter: MakeFilter) -> None:
    folder = make_filter(root=tmp_path / "elsewhere")
    found = resolve_filter(str(folder), project)
    assert (found.folder, found.origin) == (folder, "project")


def test_plugin_and_shipped_filters_are_found(project: Path, plugin_folder: Path) -> None:
    origins = {entry.label: entry.origin for entry in list_filters(project)}
    assert origins["mood:v1"] == "plugin mood 0.1"
    assert origins["uplifting:v1"] == "shipped"
    assert resolve_filter("mood", project).folder == plugin_folder / "v1"
    assert resolve_filter(str(plugin_folder / "v1"), project).origin == "plugin mood 0.1"


def test_project_hides_the_plugin_and_the_shipped(
    project: Path, plugin_folder: Path, make_filter: MakeFilter
) -> None:
    for name in ("mood", "uplifting"):
        make_filter(root=project / "filters", name=name)
    origins = {entry.label: entry.origin for entry in list_filters(project)}
    assert origins["mood:v1"] == origins["uplifting:v1"] == "project"
    assert [entry.label for entry in list_filters(project)].count("mood:v1") == 1
    assert resolve_filter("mood", project).folder == project / "filters/mood/v1"


def test_newer_version_of_a_plugin_is_not_hidden_by_an_older_one(
    project: Path, plugin_folder: Path, make_filter: MakeFilter, tmp_path: Path
) -> None:
    newer = make_filter(root=tmp_path / "newer", version=2)
    newer.rename(plugin_folder / "v2")
    make_filter(root=project / "filters")
    assert resolve_filter("mood", project).origin == "plugin mood 0.1"
    assert resolve_filter("mood:v1", project).origin == "project"


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("uplift", "did you mean uplifting"),
        ("upliftin:v1", "uplifting:v1"),
        ("uplifting:v7", "uplifting:v1"),
        ("zzz", "`distillery filter list` shows all"),
        ("", "`distillery filter list` shows all"),
        ("a b", "`distillery filter list` shows all"),
    ],
)
def test_unknown_name_has_near_matches(project: Path, reference: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve_filter(reference, project)
    assert hint in str(caught.value.hint)


def test_filter_of_a_broken_plugin_says_so(project: Path, plugin_folder: Path) -> None:
    with pytest.raises(UserError, match=r"its plugin is broken: gloom .*no module named sun"):
        resolve_filter("gloom", project)


def test_folder_of_versions_names_the_newest(project: Path, make_filter: MakeFilter) -> None:
    for version in (2, 10):
        make_filter(root=project / "filters", version=version)
    with pytest.raises(UserError) as caught:
        resolve_filter(str(project / "filters/mood"), project)
    assert caught.value.hint == f"did you mean {project / 'filters/mood/v10'}?"


def test_folder_that_only_has_the_name_does_not_hide_the_filter(
    tmp_path: Path, project: Path, plugin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mood").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_filter("mood", project).label == "mood:v1"


def test_broken_filter_is_listed_with_its_mistake(project: Path, make_filter: MakeFilter) -> None:
    make_filter(("weight: 0.5", "weight: 0.4"), root=project / "filters")
    entries = {entry.label: entry for entry in list_filters(project)}
    assert "the weights sum to 0.9" in str(entries["mood:v1"].error)
    assert entries["uplifting:v1"].error is None
