"""Ranks end with their launcher, told to end or killed, and the launcher says so to its caller."""

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

from distillery_core.dataset.prepare import prepare
from distillery_core.stages.project import Project
from distillery_core.student.launch import EXIT_TERMINATED, launch
from distillery_core.student.testing import labelled_rows, tiny_filter, write_rows

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")

PATIENCE_S = 120


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


def until(there: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not there() and time.monotonic() < end:
        time.sleep(0.1)
    return there()


@pytest.fixture
def launched(base: Callable[[str], Path], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run of many epochs in two processes that gloo connects; past its first steps."""
    project = Project(tmp_path)
    tiny = tiny_filter(project.root / "filters")
    rows = write_rows(tmp_path / "rows.jsonl", labelled_rows(tiny, 60))
    prepare(tiny, rows, project.training_dir(tiny))
    asked = ["--model-name", str(base("bert")), "--max-length", "32", "--epochs", "10000"]
    command = [sys.executable, "-m", "distillery_core", "train", "--filter", "tiny", "--no-mlflow"]
    with (tmp_path / "said.txt").open("wb") as said:
        launcher = subprocess.Popen(
            [*command, *asked, "--device", "cpu", "--devices", "2"], cwd=tmp_path, stderr=said
        )
    ranks: list[int] = []
    try:
        history = project.home(tiny) / "training_history.json"
        trains = until(lambda: history.is_file() or launcher.poll() is not None, PATIENCE_S)
        assert trains, (tmp_path / "said.txt").read_text()
        assert launcher.poll() is None, (tmp_path / "said.txt").read_text()
        ranks = ranks_of(launcher.pid)
        yield launcher
    finally:
        for pid in [launcher.pid, *ranks]:
            if lives(pid):
                os.kill(pid, signal.SIGKILL)
        launcher.wait()


@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGTERM, EXIT_TERMINATED), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["told to end", "killed"],
)
def test_no_rank_outlives_its_launcher(
    sent: signal.Signals, code: int, launched: subprocess.Popen[bytes]
) -> None:
    ranks = ranks_of(launched.pid)
    assert len(ranks) == 2
    launched.send_signal(sent)
    assert launched.wait(timeout=30) == code
    assert until(lambda: not any(map(lives, ranks)), 10), "orphans are left"


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
