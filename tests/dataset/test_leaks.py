"""The leak report finds what a wrong split would have leaked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.dataset.leaks import find_leaks, leaks_in
from distillery_core.errors import UserError


def test_rows_are_counted_in_the_later_split() -> None:
    report = find_leaks(
        [1, 1, 2, 2, 3, 3, 4, 5],
        ["train", "test", "val", "test", "train", "val", "train", "test"],
        lambda row: f"row-{row}",
    )
    assert (report.test, report.val, report.total) == (2, 1, 3)
    assert report.examples == ("row-1", "row-3", "row-5")


def test_a_clean_split_has_none() -> None:
    assert find_leaks([1, 1, 2, 3], ["train", "train", "val", "test"], str).total == 0


def test_a_folder_is_compared_by_its_texts(tmp_path: Path, prose: Callable[..., str]) -> None:
    near = prose(2).replace(prose(2).split()[3], "changed")
    for split, contents in {
        "train": [prose(1), prose(2)],
        "val": [prose(3)],
        "test": [near, prose(3).upper(), prose(4)],
    }.items():
        rows = [
            {"id": f"{split}{n}", "title": "", "content": text, "labels": [], "dimension_names": []}
            for n, text in enumerate(contents)
        ]
        (tmp_path / f"{split}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )
    report = leaks_in(tmp_path)
    assert (report.test, report.val) == (2, 0)
    assert report.examples == ("test0", "test1")
    (tmp_path / "val.jsonl").unlink()
    with pytest.raises(UserError, match="no such file"):
        leaks_in(tmp_path)
