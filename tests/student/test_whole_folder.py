"""Folders that appear whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.student.whole_folder import (
    clear_away,
    copy_files,
    fresh_folder,
    make_readable,
    previous_of,
    put_in_place,
    recover,
    remove,
)
from tests.full_disk import files_of_at_most

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from distillery_core.student.whole_folder import fresh_folder

with fresh_folder(Path(sys.argv[1])) as fresh:
    (fresh / "weights").write_text("half of them")
    os.kill(os.getpid(), signal.SIGKILL)
"""
OURS = re.compile("model")
SIZE = 100_000


def folder(path: Path, text: str) -> Path:
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "file").write_text(text, encoding="utf-8")
    return path


def held(path: Path) -> str:
    return (path / "deep" / "file").read_text(encoding="utf-8")


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_is_not_finished_leaves_no_trace(tmp_path: Path, error: BaseException) -> None:
    model = folder(tmp_path / "model", "old")
    with pytest.raises(type(error)), fresh_folder(model) as fresh:
        folder(fresh / "new", "half")
        raise error
    assert (held(model), names(tmp_path)) == ("old", ["model"])


def test_a_finished_one_takes_the_old_ones_place(tmp_path: Path) -> None:
    model = folder(tmp_path / "model", "old")
    (model / "stray").touch()
    with fresh_folder(model) as fresh:
        copy_files(folder(tmp_path / "source", "new"), fresh)
        put_in_place(fresh, model)
    assert (held(model), names(model)) == ("new", ["deep"])
    assert names(tmp_path) == ["model", "source"]


def test_a_kill_between_the_two_renames_is_mended(tmp_path: Path) -> None:
    model = folder(tmp_path / "model", "old")
    model.rename(previous_of(model))
    recover(model)
    assert (held(model), names(tmp_path)) == ("old", ["model"])


@pytest.mark.parametrize(("times", "fails"), [(3, False), (10_000, True)])
def test_a_reader_that_puts_the_old_one_back_does_not_end_the_swap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, fails: bool
) -> None:
    """It looked between the two renames, and took them for cut off."""
    model = folder(tmp_path / "model", "old")
    rename, left = Path.rename, times

    def then_a_reader_looks(path: Path, target: Path) -> Path:
        nonlocal left
        renamed = rename(path, target)
        if path == model and left:
            left -= 1
            recover(model)
        return renamed

    monkeypatch.setattr(Path, "rename", then_a_reader_looks)
    raised = pytest.raises(OSError, match="not empty") if fails else nullcontext()
    with raised, fresh_folder(model) as fresh:
        copy_files(folder(tmp_path / "source", "new"), fresh)
        put_in_place(fresh, model)
    assert held(model) == ("old" if fails else "new")
    assert names(tmp_path) == ["model", "source"]


def test_readers_and_a_writer_do_not_end_each_other(tmp_path: Path) -> None:
    model = folder(tmp_path / "model", "0")
    ended, failed = threading.Event(), list[OSError]()

    def read() -> None:
        while not ended.is_set():
            try:
                recover(model)
            except OSError as error:
                failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, 201):
            with fresh_folder(model) as fresh:
                copy_files(folder(tmp_path / "source" / str(number), str(number)), fresh)
                put_in_place(fresh, model)
            assert held(model) == str(number)
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    assert failed == []
    assert names(tmp_path) == ["model", "source"]


def test_one_that_cannot_be_put_back_is_said_and_a_reader_sees_none(tmp_path: Path) -> None:
    from distillery_core.student.predict import load_model

    model = tmp_path / "model"
    folder(previous_of(model), "old")
    model.symlink_to(tmp_path / "gone")
    with pytest.raises(OSError, match="Not a directory"):
        recover(model)
    with pytest.raises(UserError, match="no such model folder"):
        load_model(model)
    assert held(previous_of(model)) == "old"


def test_copying_onto_a_full_disk_ends_with_the_systems_own_error(tmp_path: Path) -> None:
    source = folder(tmp_path / "source", "x" * SIZE)
    with files_of_at_most(SIZE // 2), pytest.raises(OSError, match="File too large") as caught:
        copy_files(source, tmp_path / "copy")
    assert caught.value.errno


def test_what_a_killed_process_was_writing_is_cleared_away(tmp_path: Path) -> None:
    model = folder(tmp_path / "model", "old")
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(model)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 2
    clear_away(tmp_path, OURS)
    assert (held(model), names(tmp_path)) == ("old", ["model"])


@pytest.mark.parametrize("ended", ["replaced", "cut off", "removed"])
def test_what_was_on_its_way_out_goes_or_comes_back(tmp_path: Path, ended: str) -> None:
    left = {
        "replaced": ".model.previous",
        "cut off": ".model.previous",
        "removed": ".model.removed",
    }
    folder(tmp_path / left[ended], "old")
    if ended == "replaced":
        folder(tmp_path / "model", "new")
    clear_away(tmp_path, OURS)
    there = {"replaced": "new", "cut off": "old"}.get(ended)
    assert names(tmp_path) == (["model"] if there else [])
    assert there is None or held(tmp_path / "model") == there


NOT_OURS = (".model.tmp", ".model.abc.tmp", ".model.ABCDEFGH.tmp", ".notes.abcdefgh.tmp",
            ".abcdefgh.tmp", "model.abcdefgh.tmp", ".model.abcdefgh.tmp.old")  # fmt: skip


def test_nothing_else_is_cleared_away(tmp_path: Path) -> None:
    for name in NOT_OURS:
        folder(tmp_path / name, "mine")
    (tmp_path / ".model.abcdefgh.tmp").write_text("a file", encoding="utf-8")
    (tmp_path / ".model.previous").symlink_to(tmp_path / NOT_OURS[0])
    before = sorted(tmp_path.rglob("*"))
    clear_away(tmp_path, OURS)
    clear_away(tmp_path / "nowhere", OURS)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_is_removed_whole(tmp_path: Path) -> None:
    folder(tmp_path / ".model.removed", "of a process that was killed")
    remove(folder(tmp_path / "model", "old"))
    assert names(tmp_path) == []


@pytest.fixture(params=[0o022, 0o027, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    former = os.umask(request.param)
    yield request.param
    os.umask(former)


def test_modes_are_those_of_any_new_folder(tmp_path: Path, umask: int) -> None:
    with fresh_folder(tmp_path / "model") as fresh:
        folder(fresh / "inside", "new").joinpath("deep", "file").chmod(0o600)
        make_readable(fresh)
        put_in_place(fresh, tmp_path / "model")
    model = tmp_path / "model"
    assert stat.S_IMODE(model.stat().st_mode) == 0o777 & ~umask
    assert stat.S_IMODE((model / "inside" / "deep" / "file").stat().st_mode) == 0o666 & ~umask
