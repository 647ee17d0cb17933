"""Which checkpoints are kept, which is the newest, and which are offered."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_core.errors import UserError
from distillery_core.files import sha256_file, write_json, write_text
from distillery_core.student.checkpoints import folder as checkpoint_folder
from distillery_core.student.checkpoints.checkpoint import BEST, write_checkpoint
from distillery_core.student.checkpoints.files import SEAL, STATE
from distillery_core.student.checkpoints.folder import (
    NEWEST,
    checkpoints,
    find_checkpoint,
    next_number,
    prune,
    unfinished,
)
from distillery_core.student.checkpoints.state import Position, RunState, store_state, stored_state
from distillery_core.student.checkpoints.tensors import Tensors


def state_at(step: int, run: str = "this", number: int = 0) -> RunState:
    return RunState(
        run=run,
        identity={},
        position=Position(epoch=1, batch=step, step=step),
        history=[],
        model_sha256="",
        scheduler={},
        rates=[],
        at_a_time=(1, 1, True),
        number=number,
    )


def stored(
    folder: Path, step: int, run: str = "this", number: int | None = None, clock: float = 0.0
) -> Path:
    """A checkpoint, with the next number unless one is given, written when the clock said that."""
    path = folder / f"step_{step}"
    path.mkdir(parents=True, exist_ok=True)
    given = next_number(folder) if number is None else number
    store_state(path, state_at(step, run, given))
    for entry in (path / STATE, path):
        os.utime(entry, (clock, clock))
    return path


def names(folder: Path) -> list[str]:
    return [path.name for path in checkpoints(folder)]


@settings(max_examples=25, deadline=None)
@given(
    keep=st.integers(1, 4),
    legs=st.lists(
        st.tuples(st.integers(0, 9), st.integers(1, 4), st.booleans()), min_size=1, max_size=4
    ),
    clock=st.data(),
)
def test_a_run_taken_up_anywhere_keeps_the_newest_of_its_own_line(
    keep: int, legs: list[tuple[int, int, bool]], clock: st.DataObject
) -> None:
    """Each leg is begun at one of the checkpoints that stand there, not always at the last, and may
    be killed before its last one could take others away; the clock may say anything."""
    with TemporaryDirectory() as made:
        folder, line = Path(made), [0]
        for begun_with, steps, killed in legs:
            line = line[: begun_with % len(line) + 1]
            for left, step in zip(
                reversed(range(steps)), range(line[-1] + 1, line[-1] + 1 + steps), strict=True
            ):
                written = stored(folder, step, clock=clock.draw(st.floats(0, 2e9)))
                line = [*line, step]
                if not (killed and left == 0):
                    prune(written, "this", keep)
                    line = line[-keep:]
                    assert names(folder) == [f"step_{kept}" for kept in line if kept]
                assert find_checkpoint(NEWEST, folder) == unfinished(folder) == written


def test_another_runs_and_what_cannot_be_read_go(tmp_path: Path) -> None:
    stored(tmp_path, 1)
    stored(tmp_path, 2, run="earlier")
    (stored(tmp_path, 3) / SEAL).unlink()
    prune(stored(tmp_path, 4), "this", 3)
    assert names(tmp_path) == ["step_1", "step_4"]


def test_nothing_goes_for_one_that_cannot_be_read_back(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        stored(tmp_path, step)
    written = stored(tmp_path, 4)
    (written / STATE).write_text("{}", encoding="utf-8")
    prune(written, "this", 1)
    assert names(tmp_path) == ["step_1", "step_2", "step_3", "step_4"]


def test_one_that_is_cut_off_while_it_goes_is_not_left_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C came here in a real run: the half one was then the newest, and refused."""

    def stop(path: Path, ignore_errors: bool) -> None:
        if path.is_dir():
            (path / SEAL).unlink()
            raise KeyboardInterrupt

    stored(tmp_path, 1)
    monkeypatch.setattr(checkpoint_folder.remove.__globals__["shutil"], "rmtree", stop)
    with pytest.raises(KeyboardInterrupt):
        prune(stored(tmp_path, 2), "this", 1)
    assert names(tmp_path) == ["step_2"]


def test_the_newest_is_the_last_written_also_beside_a_line_left_behind(tmp_path: Path) -> None:
    """As where a run resumed from before them was ended before it could take them away."""
    for step, clock in ((2, 20.0), (4, 40.0), (6, 60.0), (3, 10.0)):
        stored(tmp_path, step, clock=clock)
    assert names(tmp_path) == ["step_2", "step_4", "step_6", "step_3"]
    assert find_checkpoint(NEWEST, tmp_path) == unfinished(tmp_path) == tmp_path / "step_3"
    prune(stored(tmp_path, 5, clock=0.0), "this", 4)
    assert names(tmp_path) == ["step_2", "step_3", "step_5"], "4 and 6 were left behind"


def test_the_first_of_a_new_run_is_newer_than_all_of_an_earlier(tmp_path: Path) -> None:
    for step in (7, 8):
        stored(tmp_path, step, run="earlier", clock=90.0)
    stored(tmp_path, 1, clock=10.0)
    assert names(tmp_path) == ["step_7", "step_8", "step_1"]


def test_those_of_before_they_were_counted_follow_their_place(tmp_path: Path) -> None:
    """Their states say when they were written instead, which is passed over."""
    for step in (10, 9, 8):
        path = stored(tmp_path, step, number=0)
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        del state["number"]
        write_json(path / STATE, state | {"written": 1.7e9 - step})
        write_text(path / SEAL, sha256_file(path / STATE) + "\n")
    assert names(tmp_path) == ["step_8", "step_9", "step_10"]
    prune(stored(tmp_path, 9), "this", 2)
    assert names(tmp_path) == ["step_8", "step_9"]


def test_only_those_that_can_be_resumed_are_offered(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        stored(tmp_path, step)
    asked = str(tmp_path / "step_9")
    with pytest.raises(UserError, match="there are: step_1, step_2, step_3"):
        find_checkpoint(asked, tmp_path)
    (tmp_path / "step_2" / SEAL).unlink()
    with pytest.raises(UserError, match="there are: step_1, step_3"):
        find_checkpoint(asked, tmp_path)
    for step in (1, 3):
        (tmp_path / f"step_{step}" / SEAL).unlink()
    with pytest.raises(UserError, match="leave --resume out to begin anew"):
        find_checkpoint(asked, tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[int], Path]:
    """Writes a checkpoint of a run with a best model."""
    best = tmp_path / "model"
    best.mkdir()
    (best / "config.json").write_text("{}", encoding="utf-8")
    tensors = Tensors({"weight": torch.zeros(2)}, {})
    random_states = [{"cpu": torch.get_rng_state()}]

    def make(step: int) -> Path:
        folder = tmp_path / "checkpoints"
        return write_checkpoint(folder, state_at(step), tensors, random_states, best, keep=2)

    return make


def test_a_checkpoint_has_the_modes_that_the_umask_leaves(
    write: Callable[[int], Path], tmp_path: Path
) -> None:
    (tmp_path / "model" / "config.json").chmod(0o640)
    former = os.umask(0o027)
    try:
        written = write(1)
    finally:
        os.umask(former)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [written, *written.iterdir()]}
    assert modes.pop("step_1") == modes.pop(BEST) == 0o750
    assert set(modes.values()) == {0o640}
    model_file = tmp_path / "model" / "config.json"
    assert (written / BEST / "config.json").samefile(model_file)
    assert stat.S_IMODE(model_file.stat().st_mode) == 0o640


def test_writing_the_same_one_again_takes_its_place(write: Callable[[int], Path]) -> None:
    first, second = write(1), write(2)
    assert names(first.parent) == ["step_1", "step_2"]
    assert [stored_state(path).number for path in (first, second)] == [1, 2]
    assert write(1) == first
    assert stored_state(first).number == 3
    assert names(first.parent) == ["step_1"], "step_2 is of the line left behind"
    assert [path.name for path in second.parent.iterdir()] == ["step_1"]
