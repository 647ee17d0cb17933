"""Datasets that must not be trained on are refused before a model is loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.errors import CheckFailed, DistilleryError, UserError
from distillery_core.filters.filter import Filter, load_filter
from distillery_core.student.dataset_check import check_dataset


def test_a_good_dataset(filter_: Filter, data_dir: Path) -> None:
    found = check_dataset(filter_, data_dir)
    assert len(found.train) > len(found.val) > 0
    assert found.prompt_sha256 == filter_.prompt_sha256
    assert len(set(found.hashes.values())) == 3


def test_who_labelled_is_known(filter_: Filter, data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(data_dir, folder)

    def several(manifest: dict[str, Any]) -> None:
        [label] = manifest["labels"]
        asked = [{"oracle": "one", "rows": 20, "prompt_sha256": mark * 64} for mark in "ab"]
        manifest["labels"] = [{**label, "rows": 30}, *({**label, **some} for some in asked)]

    assert check_dataset(filter_, folder).labelled_by == ((None, 120),)
    edit(folder, several)
    assert check_dataset(filter_, folder).labelled_by == (("one", 40), (None, 30))


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def say_fail(manifest: dict[str, Any]) -> None:
    manifest["quality"]["verdict"] = "FAIL"


def leak(manifest: dict[str, Any]) -> None:
    manifest["leak"]["test"] = 2


def other_name(manifest: dict[str, Any]) -> None:
    manifest["filter"]["name"] = "other"


def other_dimensions(manifest: dict[str, Any]) -> None:
    manifest["filter"]["dimensions"] = ["heat", "speed", "noise"]


def other_view(manifest: dict[str, Any]) -> None:
    manifest["labels"][0]["text_view_sha256"] = "0" * 64


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (say_fail, CheckFailed, "failed its QA"),
        (leak, CheckFailed, "failed its QA"),
        (other_name, UserError, "for the filter 'other'"),
        (other_dimensions, UserError, "has the dimensions heat, speed, noise"),
        (other_view, UserError, "another part of the articles"),
    ],
)
def test_refusals(
    filter_: Filter,
    data_dir: Path,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], None],
    error: type[DistilleryError],
    message: str,
) -> None:
    shutil.copytree(data_dir, tmp_path / "data")
    edit(tmp_path / "data", change)
    with pytest.raises(error, match=message):
        check_dataset(filter_, tmp_path / "data")


def test_a_split_that_was_edited(filter_: Filter, data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(data_dir, tmp_path / "data")
    with (tmp_path / "data" / "train.jsonl").open("a") as handle:
        handle.write("\n")
    with pytest.raises(UserError, match="has changed since its manifest"):
        check_dataset(filter_, tmp_path / "data")


def test_a_filter_whose_dimensions_moved(filter_: Filter, data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(filter_.folder, tmp_path / "tiny" / "v1")
    path = tmp_path / "tiny" / "v1" / "config.yaml"
    path.write_text(path.read_text().replace("noise:", "sound:"))
    with pytest.raises(UserError, match="the filter has heat, sound, speed"):
        check_dataset(load_filter(path.parent), data_dir)


def test_no_manifest(filter_: Filter, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"manifest\.json"):
        check_dataset(filter_, tmp_path)
