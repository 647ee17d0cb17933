"""prepare: four files at once or none, everything accounted for, refusals that fire."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.dataset import prepare as module
from distillery_core.dataset.leaks import LeakReport, leaks_in
from distillery_core.dataset.manifest import (
    Manifest,
    check_prepared,
    load_manifest,
    refuse_failed,
    verify_manifest,
)
from distillery_core.dataset.prepare import prepare
from distillery_core.dataset.rows import read_examples
from distillery_core.dataset.split import SPLITS
from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters.filter import Filter

Rows = Callable[[int], list[dict[str, Any]]]
Row = Callable[..., dict[str, Any]]
WriteRows = Callable[..., Path]


def splits_of(folder: Path) -> dict[str, str]:
    return {
        example.id: name for name in SPLITS for example in read_examples(folder / f"{name}.jsonl")
    }


def test_the_seeds_training_format(
    flood: Filter, write_rows: WriteRows, good_rows: Rows, tmp_path: Path
) -> None:
    rows = good_rows(200)
    rows[3] |= {"source": "gazette", "sample": {"class": "edge"}, "url": "http://x"}
    manifest = prepare(flood, write_rows(rows), tmp_path / "out")
    written = [
        json.loads(line)
        for name in SPLITS
        for line in (tmp_path / "out" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    first = next(row for row in written if row["id"] == "a3")
    assert first == {
        "id": "a3",
        "title": "Title 3",
        "content": rows[3]["content"],
        "labels": [0.0, 6.5],
        "dimension_names": ["depth", "harm"],
        "source": "gazette",
        "class": "edge",
    }
    assert {row["id"] for row in written} == {row["id"] for row in rows}
    sizes = [manifest.splits[name].rows for name in SPLITS]
    assert sizes == pytest.approx([160, 20, 20], abs=2)
    check_prepared(manifest)


def test_the_manifest_tells_what_it_was_made_from(
    flood: Filter, write_rows: WriteRows, good_rows: Rows, tmp_path: Path
) -> None:
    prepare(flood, write_rows(good_rows(200)), tmp_path / "out", noise_floor={"depth": 0.3})
    manifest = verify_manifest(tmp_path / "out")
    assert manifest.filter.name == "flood"
    assert manifest.filter.dimensions_sha256 == flood.dimensions_sha256
    assert manifest.source.rows_read == manifest.source.rows_used == 200
    assert manifest.oracles == ("gemini",)
    assert manifest.cost.usd == manifest.cost.paid_usd == pytest.approx(0.2)
    assert manifest.labelled_from == "2026-11-01T10:00:00Z"
    assert manifest.quality.verdict == "PASS"
    assert manifest.noise_floor == {"depth": 0.3}
    assert (manifest.leak.test, manifest.leak.val) == (0, 0)
    assert sum(sum(split.tiers.values()) for split in manifest.splits.values()) == 200
    assert any("another prompt" in warning for warning in manifest.warnings)
    assert Manifest.model_validate(manifest.to_json()) == manifest


def test_duplicates_stay_together_and_name_their_group(
    flood: Filter, write_rows: WriteRows, good_rows: Rows, tmp_path: Path
) -> None:
    rows = good_rows(200)
    for number in range(40):
        twin = {**rows[number], "id": f"twin{number}", "title": "Another title"}
        twin["content"] = twin["content"].replace(twin["content"].split()[2], "changed")
        rows.append(twin)
    manifest = prepare(flood, write_rows(rows), tmp_path / "out")
    home = splits_of(tmp_path / "out")
    assert all(home[f"a{number}"] == home[f"twin{number}"] for number in range(40))
    assert (manifest.duplicates.groups, manifest.duplicates.near) == (200, 40)
    examples = {
        e.id: e for name in SPLITS for e in read_examples(tmp_path / "out" / f"{name}.jsonl")
    }
    assert examples["a7"].group == examples["twin7"].group is not None
    assert examples["a150"].group is None
    assert leaks_in(tmp_path / "out").total == 0


def test_the_same_file_gives_the_same_bytes_and_another_order_the_same_splits(
    flood: Filter, write_rows: WriteRows, good_rows: Rows, tmp_path: Path
) -> None:
    rows = good_rows(200)
    first = prepare(flood, write_rows(rows), tmp_path / "one")
    again = prepare(flood, write_rows(rows), tmp_path / "two")
    assert first.dataset_sha256 == again.dataset_sha256
    prepare(flood, write_rows(random.Random(1).sample(rows, 200)), tmp_path / "three")
    assert splits_of(tmp_path / "one") == splits_of(tmp_path / "three")


def test_every_row_is_in_a_split_or_among_the_rejected(
    flood: Filter, write_rows: WriteRows, good_rows: Rows, labelled_row: Row, tmp_path: Path
) -> None:
    bad = ["{broken", labelled_row(900, {"depth": 3}), {"id": "a1", "content": "again"}]
    manifest = prepare(flood, write_rows([*good_rows(100), *bad]), tmp_path / "out")
    rejected = tmp_path / "out.rejected.jsonl"
    lines = [json.loads(line)["line"] for line in rejected.read_text(encoding="utf-8").splitlines()]
    assert lines == [101, 102, 103]
    assert manifest.source.rows_read == 103
    assert manifest.source.rejected == {
        "bad_json": 1,
        "missing_dimension": 1,
        "duplicate_id": 1,
    }
    with pytest.raises(CheckFailed, match=r"2\.9% of the rows"):
        check_prepared(manifest)
    check_prepared(manifest, max_bad=0.05)


def test_a_failed_qa_is_written_and_refused_by_train(
    flood: Filter, write_rows: WriteRows, labelled_row: Row, tmp_path: Path
) -> None:
    rows = [labelled_row(n, {"depth": n % 21 / 2, "harm": 0}) for n in range(100)]
    manifest = prepare(flood, write_rows(rows), tmp_path / "out")
    assert manifest.quality.verdict == "FAIL"
    with pytest.raises(CheckFailed, match=r"(?s)failed its QA.*Constant dimensions.*harm"):
        refuse_failed(load_manifest(tmp_path / "out"))


def test_mixed_oracles_fail_unless_declared(
    flood: Filter,
    write_rows: WriteRows,
    good_rows: Rows,
    provenance: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    rows = good_rows(100)
    for row in rows[:30]:
        row["flood_analysis"]["provenance"] = provenance(oracle="other", paid=False)
    path = write_rows(rows)
    mixed = prepare(flood, path, tmp_path / "out")
    assert mixed.quality.verdict == "FAIL"
    assert mixed.quality.deciding_line == "mixed_provenance"
    assert mixed.oracles == ("gemini", "other")
    assert mixed.cost.paid_usd == pytest.approx(0.07)
    assert prepare(flood, path, tmp_path / "out", allow_mixed=True).quality.verdict == "PASS"


def test_labels_without_provenance_are_a_warning(
    flood: Filter, write_rows: WriteRows, good_rows: Rows, tmp_path: Path
) -> None:
    rows = good_rows(100)
    for row in rows:
        del row["flood_analysis"]["provenance"]
    manifest = prepare(flood, write_rows(rows), tmp_path / "out")
    assert manifest.quality.verdict == "PASS"
    assert manifest.oracles == ()
    assert manifest.cost.rows_without_cost == 100
    assert manifest.warnings == ("100 labels do not say which oracle and prompt gave them",)


def test_a_leak_writes_nothing(
    flood: Filter,
    write_rows: WriteRows,
    good_rows: Rows,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "assign_splits", _split_by_row)
    rows = good_rows(60)
    rows += [{**row, "id": f"copy{row['id']}"} for row in rows]
    with pytest.raises(CheckFailed, match="share texts"):
        prepare(flood, write_rows(rows), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl"]


def _split_by_row(groups: Any, *_: Any) -> list[str]:
    """A splitter that looks at rows and not at groups."""
    return [SPLITS[row * len(SPLITS) // len(groups)] for row in range(len(groups))]


def test_an_interrupted_run_leaves_the_old_dataset(
    flood: Filter,
    write_rows: WriteRows,
    good_rows: Rows,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = prepare(flood, write_rows(good_rows(100)), tmp_path / "out")
    monkeypatch.setattr(module, "write_manifest", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(flood, write_rows(good_rows(150)), tmp_path / "out")
    assert verify_manifest(tmp_path / "out") == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "rows.jsonl"]


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_other_files_in_the_folder_are_kept(
    flood: Filter, write_rows: WriteRows, good_rows: Rows, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "out" / "train.jsonl").write_text("old", encoding="utf-8")
    prepare(flood, write_rows(good_rows(100)), tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["manifest.json", "notes.txt", "test.jsonl", "train.jsonl", "val.jsonl"]
    verify_manifest(tmp_path / "out")


def test_refusals_before_anything_is_written(
    flood: Filter, write_rows: WriteRows, good_rows: Rows, tmp_path: Path
) -> None:
    path = write_rows(good_rows(10))
    with pytest.raises(UserError, match="sum to 1"):
        prepare(flood, path, tmp_path / "out", (0.8, 0.1, 0.2))
    with pytest.raises(UserError, match="no such file"):
        prepare(flood, tmp_path / "missing.jsonl", tmp_path / "out")
    with pytest.raises(UserError, match="is a file"):
        prepare(flood, path, path)
    with pytest.raises(UserError, match="no usable row among 2: 2 no_analysis"):
        prepare(
            flood,
            write_rows([{"id": n, "content": "x"} for n in "ab"], "b.jsonl"),
            tmp_path / "out",
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.jsonl", "rows.jsonl"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_place_is_named(
    flood: Filter, write_rows: WriteRows, good_rows: Rows, tmp_path: Path
) -> None:
    path = write_rows(good_rows(10))
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(UserError, match="cannot be written"):
        prepare(flood, path, tmp_path / "locked" / "out")


def test_progress_is_reported(
    flood: Filter, write_rows: WriteRows, good_rows: Rows, tmp_path: Path
) -> None:
    notes: list[str] = []
    prepare(
        flood,
        write_rows(good_rows(100)),
        tmp_path / "out",
        progress=lambda done, total, note="": notes.append(note),
    )
    assert notes == ["rows read", "comparing texts", "split"]


def test_real_news(
    flood: Filter, lee_texts: dict[str, str], write_rows: WriteRows, tmp_path: Path
) -> None:
    """350 real articles: identical and nearly identical ones never stand in two splits."""
    rows = [
        {
            "id": name,
            "title": name,
            "content": text,
            "flood_analysis": {"depth": len(text) % 21 / 2, "harm": text.count("e") % 21 / 2},
        }
        for name, text in lee_texts.items()
    ]
    manifest = prepare(flood, write_rows(rows), tmp_path / "out")
    assert manifest.source.rows_used == 350
    assert (manifest.duplicates.exact, manifest.duplicates.near) == (7, 1)
    assert leaks_in(tmp_path / "out") == LeakReport(0, 0)
    assert manifest.splits["test"].rows == pytest.approx(35, abs=3)
