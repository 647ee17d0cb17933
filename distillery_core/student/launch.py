"""Starts one training run as several processes on this machine, one a device, as torchrun does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

_LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.2
_GRACE_SECONDS = 5.0


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run `python -m distillery_core ARGUMENTS` in so many processes that know of each other.

    Returns:
        0 when all end well, else the exit code of the first that did not; the others are ended
        with it.
    """
    port = free_port()
    running = [_start(arguments, rank, processes, port) for rank in range(processes)]
    try:
        return _watch(running)
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()
        for process in running:
            process.wait()


def let_the_first_speak() -> None:
    """Wait, in every process but the first, before an error is printed.

    What the first one has to say as well ends it, and the launcher ends this one meanwhile; what is
    this one's alone is printed afterwards.
    """
    if os.environ.get("RANK", "0") != "0":
        time.sleep(_GRACE_SECONDS)


def _start(
    arguments: Sequence[str], rank: int, processes: int, port: int
) -> subprocess.Popen[bytes]:
    told = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": processes,
        "LOCAL_WORLD_SIZE": processes,
        "MASTER_ADDR": _LOOPBACK,
        "MASTER_PORT": port,
    }
    environment = os.environ | {name: str(value) for name, value in told.items()}
    environment.setdefault("OMP_NUM_THREADS", "1")
    command = [sys.executable, "-m", "distillery_core", *arguments]
    return subprocess.Popen(command, env=environment)  # noqa: S603 - our own command line again


def _watch(running: Sequence[subprocess.Popen[bytes]]) -> int:
    while True:
        codes = [process.poll() for process in running]
        failed = [code for code in codes if code]
        if failed:
            return failed[0] if failed[0] > 0 else 128 - failed[0]
        if all(code == 0 for code in codes):
            return 0
        time.sleep(_POLL_SECONDS)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as found:
        found.bind((_LOOPBACK, 0))
        port: int = found.getsockname()[1]
        return port
