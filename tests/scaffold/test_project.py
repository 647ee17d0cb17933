"""`lay_out` writes what architecture.md names, once, and touches nothing that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery_core.content import project_root
from distillery_core.errors import UserError
from distillery_core.filters import list_filters, resolve_filter
from distillery_core.scaffold import lay_out
from distillery_core.stages.train import config_filter, resolved

FOLDERS = (
    "agents", "filters", "pipelines", "stacks", "plugins", "datasets", "training/configs",
    "reports", "docs",
)  # fmt: skip


def test_every_folder_says_what_lives_there(tmp_path: Path) -> None:
    lay_out(tmp_path / "new")
    for name in FOLDERS:
        assert (tmp_path / "new" / name / "README.md").read_text(encoding="utf-8").startswith("# ")
    assert (tmp_path / "new" / "oracles.yaml").is_file()
    assert ".distillery/" in (tmp_path / "new" / ".gitignore").read_text(encoding="utf-8")


def test_the_result_is_a_project_whose_filters_load(tmp_path: Path) -> None:
    lay_out(tmp_path)
    assert project_root(tmp_path / "datasets") == tmp_path
    mine = [entry for entry in list_filters(tmp_path) if entry.origin == "project"]
    assert {entry.name for entry in mine} >= {"uplifting", "sustainability_tech_deployment"}
    assert [entry.error for entry in mine if entry.error] == []


def test_a_training_config_comes_along_and_asks_for_what_its_filter_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    config = Path("training/configs/uplifting_v1.yaml")
    filter = resolve_filter(config_filter(config), tmp_path)
    assert (filter.label, filter.origin) == ("uplifting:v1", "project")
    assert resolved(filter, config, {}) == resolved(filter, None, {})


def test_again_writes_nothing_and_mends_what_is_missing(tmp_path: Path) -> None:
    first = lay_out(tmp_path)
    again = lay_out(tmp_path)
    assert (again.created, len(again.kept)) == ([], len(first.created))
    (tmp_path / "oracles.yaml").unlink()
    assert lay_out(tmp_path).created == [tmp_path / "oracles.yaml"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    result = lay_out(tmp_path)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine"
    assert result.kept == [tmp_path / "README.md"]


def test_no_run_of_ours_is_carried_along(tmp_path: Path) -> None:
    """A checkout may hold models, reports and caches beside the filters."""
    result = lay_out(tmp_path)
    names = {path.name for path in result.created if "filters" in path.parts}
    assert names <= {"config.yaml", "prompt.md.j2", "prefilter.yaml", "README.md", "cases.yaml"}
    assert not [path for path in result.created if path.suffix == ".pyc"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="is a file"):
        lay_out(tmp_path / "x")
