"""Ranks end with their launcher, however it ends; what ended a run is said, and said once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distillery_core.cli.main import EXIT_INTERRUPTED
from distillery_core.dataset.prepare import prepare
from distillery_core.stages.project import Project
from distillery_core.student.checkpoints.folder import checkpoints
from distillery_core.student.launch import (
    EXIT_TERMINATED,
    KilledBySignal,
    _end,
    _watch,
    launch,
)
from distillery_core.student.testing import labelled_rows, tiny_filter, write_rows

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")

PATIENCE_S = 120
GO_ON = "--resume goes on from the last checkpoint, training/checkpoints/tiny_v1/"

# Ctrl-C works also where the tests run in the background, which has it ignored.
MAIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from distillery_core.cli.main import main
sys.exit(main())
"""

LAUNCHES = """
import sys
from distillery_core.student.launch import launch
sys.executable = sys.argv[1]
sys.exit(launch([], 2))
"""
WAITS = """
import time
from distillery_core.student.launch import end_with_launcher
end_with_launcher()
time.sleep(600)
"""


def ranks_of(launcher: int) -> list[int]:
    found = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return [int(pid) for pid in found]


def lives(pid: int) -> bool:
    """Whether it runs; one that has ended and nobody asked about does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def waits(signal_number: int, pid: int) -> bool:
    """Whether a signal was sent to a process that does not let it in."""
    status = Path(f"/proc/{pid}/status").read_text()
    pending = next(line for line in status.splitlines() if line.startswith("ShdPnd:"))
    return bool(int(pending.split()[1], 16) >> (signal_number - 1) & 1)


def until(there: Callable[[], object], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not there() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(there())


@pytest.fixture
def launched(base: Callable[[str], Path], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run of many epochs in two processes that gloo connects; past its first checkpoint."""
    project = Project(tmp_path)
    tiny = tiny_filter(project.root / "filters")
    rows = write_rows(tmp_path / "rows.jsonl", labelled_rows(tiny, 60))
    prepare(tiny, rows, project.training_dir(tiny))
    asked = ["--model-name", str(base("bert")), "--max-length", "32", "--epochs", "10000"]
    command = [sys.executable, "-c", MAIN, "train", "--filter", "tiny", "--no-mlflow"]
    with (tmp_path / "said.txt").open("wb") as said:
        launcher = subprocess.Popen(
            [*command, *asked, "--device", "cpu", "--devices", "2"],
            cwd=tmp_path,
            stderr=said,
            start_new_session=True,
        )
    ranks: list[int] = []
    try:
        kept = project.root / "training" / "checkpoints" / tiny.slug
        trains = until(lambda: checkpoints(kept) or launcher.poll() is not None, PATIENCE_S)
        assert trains, (tmp_path / "said.txt").read_text()
        assert launcher.poll() is None, (tmp_path / "said.txt").read_text()
        ranks = ranks_of(launcher.pid)
        yield launcher
    finally:
        for pid in [launcher.pid, *ranks]:
            if lives(pid):
                os.kill(pid, signal.SIGKILL)
        launcher.wait()


def test_no_rank_outlives_a_launcher_that_is_killed(launched: subprocess.Popen[bytes]) -> None:
    ranks = ranks_of(launched.pid)
    assert len(ranks) == 2
    launched.kill()
    assert launched.wait(timeout=30) == -signal.SIGKILL
    assert until(lambda: not any(map(lives, ranks)), 10), "orphans are left"


def test_a_launcher_that_is_told_to_end_ends_its_ranks(tmp_path: Path) -> None:
    """Ranks that only wait: it ends them as it does those that train, and they load nothing."""
    rank = tmp_path / "rank"
    rank.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{WAITS}'\n", encoding="utf-8")
    rank.chmod(0o755)
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHES, str(rank)])
    try:
        assert until(lambda: len(ranks_of(launcher.pid)) == 2, PATIENCE_S)
        ranks = ranks_of(launcher.pid)
        launcher.terminate()
        assert launcher.wait(timeout=30) == EXIT_TERMINATED
        assert not any(map(lives, ranks)), "orphans are left"
    finally:
        launcher.kill()
        launcher.wait()


def test_a_rank_that_was_killed_is_told_of_once(
    launched: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """By the launcher: the killed one cannot, and the other one knows only that it is gone."""
    ranks = ranks_of(launched.pid)
    os.kill(ranks[1], signal.SIGKILL)
    assert launched.wait(timeout=30) == 128 + signal.SIGKILL
    said = (tmp_path / "said.txt").read_text()
    line = "error: process 2 of 2 was ended by signal 9 (often: memory ran out)\n  -> "
    assert f"{line}{GO_ON}" in said
    assert (said.count("error: "), said.count("Traceback")) == (1, 0), said
    assert not any(map(lives, ranks))


def test_ctrl_c_is_told_of_once(launched: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """A terminal sends it to all of them; the ranks do not hear it, however soon."""
    ranks = ranks_of(launched.pid)
    for rank in ranks:
        os.kill(rank, signal.SIGINT)
    time.sleep(0.2)
    assert all(waits(signal.SIGINT, rank) for rank in ranks)
    os.killpg(launched.pid, signal.SIGINT)
    assert launched.wait(timeout=30) == EXIT_INTERRUPTED
    said = (tmp_path / "said.txt").read_text()
    assert f"error: interrupted; {GO_ON}" in said
    assert (said.count("interrupted"), said.count("Traceback")) == (1, 0), said


@pytest.mark.parametrize(
    ("scripts", "told"),
    [
        (["kill -SEGV $$", "sleep 60"], "process 1 of 2 was ended by signal 11 (Segmentation f"),
        (["sleep 60", "kill -TERM $$"], "process 2 of 2 was ended by signal 15 (Terminated)"),
        (["kill -ABRT $$", "exit 2"], None),
    ],
    ids=["of the first", "of another", "beside one that said why itself"],
)
def test_a_signal_is_told_of_where_nobody_said_why(scripts: list[str], told: str | None) -> None:
    running = [subprocess.Popen(["/bin/sh", "-c", script]) for script in scripts]
    for process, script in zip(running, scripts, strict=True):
        if script != "sleep 60":
            process.wait()
    try:
        if told is None:
            assert _watch(running, []) == 2
            return
        with pytest.raises(KilledBySignal) as error:
            _watch(running, [])
        assert str(error.value).startswith(told)
    finally:
        _end(running)


def test_the_callers_own_handler_is_put_back_and_threads_need_none() -> None:
    former = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    codes: list[int] = []
    try:
        codes.append(launch(["--version"], 1))
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, former)
    elsewhere = threading.Thread(target=lambda: codes.append(launch(["--version"], 1)))
    elsewhere.start()
    elsewhere.join()
    assert codes == [0, 0]
