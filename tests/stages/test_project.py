"""A plugin's filter comes into the project with the first thing that is written to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.filters import resolve_filter
from distillery_core.stages.oracles import recording_folder
from distillery_core.stages.project import ORIGIN, Project, adopt, open_project, project_of


def test_a_plugins_filter_is_adopted_with_its_origin(tmp_path: Path) -> None:
    project = Project(tmp_path)
    found = resolve_filter("crisis", tmp_path)
    assert found.origin.startswith("plugin distillery-filter-crisis")
    own = adopt(project, found)
    assert own.folder == tmp_path / "filters" / "crisis" / "v1"
    origin = json.loads((own.folder / ORIGIN).read_text(encoding="utf-8"))
    assert origin["origin"] == found.origin
    assert set(origin["sha256"]) >= {"config.yaml", "prompt.md.j2", "prefilter.yaml"}
    assert own.prompt_sha256 == found.prompt_sha256
    assert adopt(project, own) is own


def test_the_recording_stays_in_the_plugin_and_is_found_from_there(tmp_path: Path) -> None:
    own = adopt(Project(tmp_path), resolve_filter("crisis", tmp_path))
    folder = recording_folder(own)
    assert folder is not None
    assert (folder / "answers.jsonl").is_file()
    assert not folder.is_relative_to(tmp_path)


def test_an_edited_copy_is_the_projects_own(tmp_path: Path) -> None:
    own = adopt(Project(tmp_path), resolve_filter("crisis", tmp_path))
    prompt = own.folder / "prompt.md.j2"
    prompt.write_text("Judge.\n" + prompt.read_text(encoding="utf-8"), encoding="utf-8")
    again = resolve_filter("crisis", tmp_path)
    assert again.origin == "project"
    assert again.prompt_sha256 != own.prompt_sha256


def test_an_edited_copy_is_never_overwritten(tmp_path: Path) -> None:
    found = resolve_filter("crisis", tmp_path)
    own = adopt(Project(tmp_path), found)
    assert adopt(Project(tmp_path), found).folder == own.folder
    prompt = own.folder / "prompt.md.j2"
    edited = "Judge.\n" + prompt.read_text(encoding="utf-8")
    prompt.write_text(edited, encoding="utf-8")
    with pytest.raises(UserError, match="has its own crisis:v1"):
        adopt(Project(tmp_path), found)
    assert prompt.read_text(encoding="utf-8") == edited


def test_a_killed_adoption_leaves_no_half_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = resolve_filter("crisis", tmp_path)

    def full(path: Path, mode: str = "w") -> None:
        raise OSError(28, f"no space for {path.name} ({mode})")

    with monkeypatch.context() as patched, pytest.raises(UserError, match="cannot be written"):
        patched.setattr("distillery_core.stages.project.atomic_write", full)
        adopt(Project(tmp_path), found)
    assert resolve_filter("crisis", tmp_path).origin == found.origin
    assert adopt(Project(tmp_path), found).digest == found.digest


def test_an_upgraded_plugin_still_answers_for_its_adopted_filter(tmp_path: Path) -> None:
    own = adopt(Project(tmp_path), resolve_filter("crisis", tmp_path))
    path = own.folder / ORIGIN
    origin = json.loads(path.read_text(encoding="utf-8"))
    origin["origin"] = origin["origin"].rpartition(" ")[0] + " 0.0.1"
    path.write_text(json.dumps(origin), encoding="utf-8")
    assert recording_folder(own) is not None
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match="where the filter comes from"):
        recording_folder(own)


def test_a_path_names_the_project_that_it_lies_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = adopt(Project(tmp_path / "one"), resolve_filter("crisis", tmp_path))
    elsewhere = tmp_path / "two" / "filters"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(elsewhere.parent)
    assert project_of(str(own.folder)).root == (tmp_path / "one").resolve()
    assert project_of("crisis").root == elsewhere.parent.resolve()
    plugins = resolve_filter("crisis", elsewhere.parent).folder
    assert project_of(str(plugins)).root == elsewhere.parent.resolve()


def test_paths_are_shown_as_one_would_type_them(tmp_path: Path) -> None:
    (tmp_path / "filters").mkdir()
    project = open_project(tmp_path / "filters")
    assert project.relative(project.ledger) == ".distillery/ledger.sqlite"
    assert project.relative(Path("/elsewhere/x")) == "/elsewhere/x"
