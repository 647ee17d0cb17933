"""Files of steps: kept by content, put back when gone, never lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.steps.materializer import CONTENT, MANIFEST, ProjectFilesMaterializer
from distillery_core.steps.project_files import ProjectFiles


def _quiet(line: str) -> None:
    pass


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "model").mkdir(parents=True)
    (root / "model" / "weights.bin").write_bytes(b"\x00\x01")
    (root / "model" / "config.json").write_text("{}", encoding="utf-8")
    (root / "history.json").write_text("[]", encoding="utf-8")
    return root


def _stored(project: Path, store: Path) -> ProjectFiles:
    files = ProjectFiles.of(project, project / "model", project / "history.json")
    materializer = ProjectFilesMaterializer(uri=str(store))
    materializer.save(files)
    assert materializer.compute_content_hash(files) == files.content_sha256
    return materializer.load(ProjectFiles)


def test_stored_files_are_the_same_and_know_their_content(project: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    loaded = _stored(project, store)
    assert loaded.base == store / CONTENT and (store / MANIFEST).is_file()
    assert loaded.folders == ("model",) and loaded.single(project) == project / "model"
    original = ProjectFiles.of(project, project / "model", project / "history.json")
    assert loaded.content_sha256 == original.content_sha256
    metadata = ProjectFilesMaterializer(uri=str(store)).extract_metadata(loaded)
    assert metadata["files"] == 3 and metadata["bytes"] == 6


def test_intact_files_are_left_alone(project: Path, tmp_path: Path) -> None:
    loaded = _stored(project, tmp_path / "store")
    before = (project / "history.json").stat().st_mtime_ns
    assert loaded.put_back(project, _quiet) == []
    assert (project / "history.json").stat().st_mtime_ns == before


def test_missing_changed_and_foreign_files(project: Path, tmp_path: Path) -> None:
    loaded = _stored(project, tmp_path / "store")
    (project / "model" / "weights.bin").unlink()
    (project / "history.json").write_text("[1]", encoding="utf-8")
    (project / "model" / "adapter.bin").write_bytes(b"old")
    said: list[str] = []
    assert sorted(loaded.put_back(project, said.append)) == ["history.json", "model/weights.bin"]
    assert (project / "model" / "weights.bin").read_bytes() == b"\x00\x01"
    assert (project / "history.json").read_text(encoding="utf-8") == "[]"
    assert not (project / "model" / "adapter.bin").exists()
    (aside,) = (project / ".distillery" / "replaced").iterdir()
    assert (aside / "history.json").read_text(encoding="utf-8") == "[1]"
    assert (aside / "model" / "adapter.bin").read_bytes() == b"old"
    assert len(said) == 4


def test_side_products_are_only_filled_in(project: Path, tmp_path: Path) -> None:
    loaded = _stored(project, tmp_path / "store")
    (project / "model" / "weights.bin").unlink()
    (project / "history.json").write_text("newer", encoding="utf-8")
    loaded.fill_in(project, _quiet)
    assert (project / "model" / "weights.bin").is_file()
    assert (project / "history.json").read_text(encoding="utf-8") == "newer"


def test_a_damaged_copy_is_never_used(project: Path, tmp_path: Path) -> None:
    loaded = _stored(project, tmp_path / "store")
    (project / "history.json").write_text("mine", encoding="utf-8")
    (loaded.base / "history.json").write_text("damaged", encoding="utf-8")
    with pytest.raises(UserError, match="no longer holds"):
        loaded.put_back(project, _quiet)
    assert (project / "history.json").read_text(encoding="utf-8") == "mine"


def test_content_does_not_depend_on_the_place(project: Path, tmp_path: Path) -> None:
    here = ProjectFiles.of(project, project / "history.json")
    moved = project.rename(tmp_path / "elsewhere")
    assert ProjectFiles.of(moved, moved / "history.json").content_sha256 == here.content_sha256
    (moved / "history.json").write_text("[2]", encoding="utf-8")
    assert ProjectFiles.of(moved, moved / "history.json").content_sha256 != here.content_sha256


def test_files_outside_or_missing(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match="outside"):
        ProjectFiles.of(project, outside)
    assert not ProjectFiles.inside(project, outside).sha256
    with pytest.raises(UserError, match="not there"):
        ProjectFiles.of(project, project / "nothing")


def test_a_manifest_cannot_name_files_outside(project: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    _stored(project, store)
    manifest = store / MANIFEST
    text = manifest.read_text(encoding="utf-8").replace("history.json", "../../evil")
    manifest.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="outside"):
        ProjectFilesMaterializer(uri=str(store)).load(ProjectFiles)
