from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.stages.base_files import base_of


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose project lies in a folder of it; the file was changed after the commit."""
    project = tmp_path / "clone" / "project"
    project.mkdir(parents=True)
    (project / "a.md").write_bytes(b"before\r\n")
    for command in (
        ("init", "--quiet"),
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "x"),
    ):
        subprocess.run(["git", "-C", str(tmp_path / "clone"), *command], check=True)
    (project / "a.md").write_text("after", encoding="utf-8")
    return project


def test_a_commit(repository: Path) -> None:
    base = base_of(repository, "HEAD")
    assert base.name == "HEAD"
    assert base.read("a.md") == b"before\r\n"
    assert base.read("b.md") is None


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"x")
    base = base_of(tmp_path, str(tmp_path))
    assert (base.read("a.md"), base.read("no/b.md"), base.name) == (b"x", None, tmp_path.name)


def test_nothing(tmp_path: Path) -> None:
    assert base_of(tmp_path, None).read("a.md") is None


@pytest.mark.parametrize("reference", ["nowhere", "--output=/x", "HEAD:project/a.md", ""])
def test_what_is_no_commit_is_refused(repository: Path, reference: str) -> None:
    with pytest.raises(UserError, match="no folder, and no commit"):
        base_of(repository, reference)


def test_outside_a_repository_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="git fetch"):
        base_of(tmp_path, "HEAD")
