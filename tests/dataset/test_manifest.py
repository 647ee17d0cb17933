"""A manifest that does not fit its files is not accepted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.dataset.manifest import load_manifest, verify_manifest
from distillery_core.dataset.prepare import prepare
from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter


@pytest.fixture
def dataset(
    flood: Filter,
    write_rows: Callable[..., Path],
    good_rows: Callable[[int], list[dict[str, Any]]],
    tmp_path: Path,
) -> Path:
    prepare(flood, write_rows(good_rows(60)), tmp_path / "out")
    return tmp_path / "out"


def test_an_untouched_dataset_is_accepted(dataset: Path) -> None:
    assert verify_manifest(dataset) == load_manifest(dataset)


def test_a_changed_split_is_named(dataset: Path) -> None:
    with (dataset / "val.jsonl").open("a", encoding="utf-8") as handle:
        handle.write("\n")
    with pytest.raises(UserError, match=r"val\.jsonl: has changed"):
        verify_manifest(dataset)


def test_a_missing_split_is_named(dataset: Path) -> None:
    (dataset / "test.jsonl").unlink()
    with pytest.raises(UserError, match=r"test\.jsonl: is in the manifest, but not there"):
        verify_manifest(dataset)


def test_a_dataset_hash_that_does_not_fit(dataset: Path) -> None:
    _edit(dataset, dataset_sha256="0" * 64)
    with pytest.raises(UserError, match="does not fit its splits"):
        verify_manifest(dataset)


@pytest.mark.parametrize("change", [{"schema": 2}, {"extra": 1}, {"splits": []}])
def test_a_manifest_of_another_shape(dataset: Path, change: dict[str, Any]) -> None:
    _edit(dataset, **change)
    with pytest.raises(UserError, match="not a manifest"):
        load_manifest(dataset)


@pytest.mark.parametrize("text", ["", "{broken", "[]", "\ufffd"])
def test_a_manifest_that_is_no_json_object(dataset: Path, text: str) -> None:
    (dataset / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="not a manifest"):
        load_manifest(dataset)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UserError, match=r"(?s)no manifest.*distillery prepare"):
            load_manifest(folder)


def _edit(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    value = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(value), encoding="utf-8")
