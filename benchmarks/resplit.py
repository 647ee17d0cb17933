"""Sorts a prepared dataset folder into other splits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distillery_core.dataset.manifest import (
    SplitRecord,
    dataset_sha256,
    load_manifest,
    write_manifest,
)
from distillery_core.files import sha256_file, write_text

_KEPT_FIRST = ("test", "val", "train")


def resplit(
    prepared: Path,
    output: Path,
    split_of: Mapping[str, str],
    assigned_by: str,
    keep_alike: bool = False,
) -> int:
    """Write a folder with the rows of `prepared`, each in the split that its id is given.

    A row is left out of validation and training whose text, or nearly, stands in the test split
    too, and out of training one that stands in validation: `prepare` has named such groups. Rows
    without a split are left out as well.

    Args:
        keep_alike: leave none out for its likeness, to be measured as others were.

    Returns:
        How many rows were left out for their likeness.
    """
    rows = _rows(prepared)
    lines: dict[str, list[str]] = {}
    seen: set[object] = set()
    for name in _KEPT_FIRST:
        own = [row for row in rows if split_of.get(row["id"]) == name]
        kept = [row for row in own if keep_alike or _group(row) not in seen]
        seen |= {_group(row) for row in own}
        lines[name] = [json.dumps(row, ensure_ascii=False) for row in kept]
    output.mkdir(parents=True, exist_ok=True)
    for name, kept_lines in lines.items():
        write_text(output / f"{name}.jsonl", "\n".join(kept_lines) + "\n")
    _describe(prepared, output, {name: len(kept) for name, kept in lines.items()}, assigned_by)
    return sum(row["id"] in split_of for row in rows) - sum(map(len, lines.values()))


def _group(row: dict[str, Any]) -> object:
    return row.get("group") or row["id"]


def _rows(prepared: Path) -> list[dict[str, Any]]:
    files = [split.file for split in load_manifest(prepared).splits.values()]
    return [
        json.loads(line)
        for file in files
        for line in (prepared / file).read_text(encoding="utf-8").split("\n")
        if line
    ]


def _describe(prepared: Path, output: Path, rows: Mapping[str, int], assigned_by: str) -> None:
    """The manifest of the new splits; tiers and classes are not counted again."""
    manifest = load_manifest(prepared)
    splits = {
        name: SplitRecord(
            file=split.file,
            rows=rows[name],
            sha256=sha256_file(output / split.file),
            tiers={},
            classes={},
        )
        for name, split in manifest.splits.items()
    }
    anew = {"splits": splits, "dataset_sha256": dataset_sha256(splits), "assigned_by": assigned_by}
    write_manifest(output, manifest.model_copy(update=anew))
