"""Rejected rows: written whole or not at all, counted, and limited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery_core.dataset.rejects import Kind, Rejects
from distillery_core.errors import CheckFailed


def test_rows_are_written_beside_the_output(tmp_path: Path) -> None:
    with Rejects(tmp_path / "out.jsonl") as rejects:
        rejects.saw(3)
        rejects.add(2, "not JSON", kind=Kind.BAD_JSON, raw="x" * 9000)
        rejects.add(3, "seen before", kind=Kind.DUPLICATE_ID, id="a1")
        assert not rejects.path.exists()
    rows = [json.loads(line) for line in rejects.path.read_text(encoding="utf-8").splitlines()]
    assert rejects.path.name == "out.jsonl.rejected.jsonl"
    assert rows[0] == {"line": 2, "reason": "not JSON", "kind": "bad_json", "raw": "x" * 500}
    assert rows[1]["id"] == "a1"
    assert rejects.counts == {"bad_json": 1, "duplicate_id": 1}
    assert rejects.rate == pytest.approx(2 / 3)


def test_check_fires_above_the_limit_and_leaves_the_file(tmp_path: Path) -> None:
    rejects = Rejects(tmp_path / "out.jsonl", max_bad=0.01)
    rejects.saw(100)
    rejects.add(1, "bad", kind=Kind.BAD_JSON)
    rejects.add(2, "bad", kind=Kind.BAD_JSON)
    with pytest.raises(CheckFailed, match=r"2 of 100 rows.*2\.0%"), rejects:
        rejects.check()
    assert rejects.path.exists()


def test_check_is_silent_at_the_limit(tmp_path: Path) -> None:
    with Rejects(tmp_path / "out.jsonl", max_bad=0.01) as rejects:
        rejects.saw(100)
        rejects.add(1, "bad")
        rejects.check()


def test_a_run_without_bad_rows_removes_the_file_of_the_run_before(tmp_path: Path) -> None:
    with Rejects(tmp_path / "out.jsonl") as rejects:
        rejects.add(1, "bad")
    assert rejects.path.exists()
    with Rejects(tmp_path / "out.jsonl") as rejects:
        rejects.saw()
    assert not rejects.path.exists()


def test_a_run_that_breaks_off_leaves_the_file_of_the_run_before(tmp_path: Path) -> None:
    with Rejects(tmp_path / "out.jsonl") as rejects:
        rejects.add(1, "first run")
    with pytest.raises(KeyboardInterrupt), Rejects(tmp_path / "out.jsonl") as again:
        again.add(2, "second run")
        raise KeyboardInterrupt
    assert "first run" in rejects.path.read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl.rejected.jsonl"]


def test_lone_surrogates_in_a_reason_can_be_written(tmp_path: Path) -> None:
    with Rejects(tmp_path / "out.jsonl") as rejects:
        rejects.add(1, "bad \ud800", raw="\udfff")
    assert rejects.path.exists()
