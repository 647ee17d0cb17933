"""Files appear whole or not at all; hashes do not depend on accidents."""

from __future__ import annotations

import json
import math
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_core import files


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "report.md"
    files.write_text(target, "old")
    with pytest.raises(RuntimeError), files.atomic_write(target) as handle:
        handle.write("half of the new")
        raise RuntimeError("the disk is full")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


def test_files_are_readable_by_others_as_the_umask_says(tmp_path: Path) -> None:
    target = tmp_path / "a" / "report.md"
    files.write_text(target, "text")
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~files.umask()


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"mae": math.nan})
    assert not (tmp_path / "x.json").exists()


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=6))
def test_the_hash_of_json_does_not_depend_on_key_order(value: dict[str, object]) -> None:
    backwards = dict(reversed(value.items()))
    assert files.sha256_json(value) == files.sha256_json(backwards)
    assert files.sha256_json(value) == files.sha256_json(json.loads(json.dumps(value)))


def test_a_tree_hash_sees_names_and_contents_of_the_named_files_only(tmp_path: Path) -> None:
    files.write_text(tmp_path / "config.yaml", "a")
    before = files.sha256_tree(tmp_path, ["config.yaml", "absent.yaml"])
    files.write_text(tmp_path / "report.md", "written by a stage")
    assert files.sha256_tree(tmp_path, ["config.yaml", "absent.yaml"]) == before
    assert files.sha256_tree(tmp_path) != before
    files.write_text(tmp_path / "config.yaml", "b")
    assert files.sha256_tree(tmp_path, ["config.yaml", "absent.yaml"]) != before
