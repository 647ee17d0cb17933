"""Starts one training run as several processes on this machine, one a device, as torchrun does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from distillery_core.errors import DistilleryError

EXIT_TERMINATED = 143
"""128 + SIGTERM, what a shell reports for a command that was told to end."""

_LAUNCHED = "DISTILLERY_LAUNCHED"
"""Tells a process that its standard input is a pipe, open for as long as the launcher lives."""
_LOOPBACK = "127.0.0.1"

_POLL_SECONDS = 0.2
"""Between two looks at the processes: an end shows at once, and looking costs no core."""

_FIRST_WAITS_SECONDS = 2.0
"""Ten looks of this launcher (torchrun's are 0.1 s apart): if another one's end is the cause, the
first process is ended before it speaks, also on a busy machine."""

_OTHERS_WAIT_SECONDS = 5.0
"""The first one's wait, and time for it to print and to be seen to have ended."""

_GRACE_SECONDS = 5.0
"""From asking a process to end until it is killed. Ranks end at once when asked, unless they are
deep in a call, such as one to a device; nothing is lost, whole checkpoints are on the disk."""


class KilledBySignal(DistilleryError):
    """A process of the run was ended by a signal, so that it could not say why itself.

    Args:
        number: of the signal; the exit code is 128 more, as a shell reports it.
        rank: of the process, from 0.
        processes: how many there were.
        hint: what to do next.
    """

    def __init__(self, number: int, rank: int, processes: int, hint: str = "") -> None:
        super().__init__(number, rank, processes, hint)
        self.exit_code = 128 + number

    def with_hint(self, hint: str) -> KilledBySignal:
        """The same with what to do next."""
        number, rank, processes, _ = self.args
        return KilledBySignal(number, rank, processes, hint)

    def __str__(self) -> str:
        number, rank, processes, hint = self.args
        memory = number == signal.SIGKILL
        why = "often: memory ran out" if memory else signal.strsignal(number) or "unknown"
        what = f"process {rank + 1} of {processes} was ended by signal {number} ({why})"
        return f"{what}\n  -> {hint}" if hint else what


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run `python -m distillery_core ARGUMENTS` in so many processes that know of each other.

    However this process ends, they end with it: they read a pipe that only it holds open. Ctrl-C
    comes to this process alone.

    Returns:
        0 when all end well, else the exit code of the first that did not; 143 when this process
        was told to end (SIGTERM). The others are ended with it.

    Raises:
        KilledBySignal: one was ended by a signal, and none said why; the others are ended.
    """
    port = free_port()
    running: list[subprocess.Popen[bytes]] = []
    with _sigterm_noted() as noted:
        try:
            with _interrupts_held():
                for rank in range(processes):
                    running.append(_start(arguments, rank, processes, port))
            return _watch(running, noted)
        finally:
            _end(running)


def end_with_launcher() -> None:
    """In a process that `launch` started: watch the launcher, and end when it is gone, however it
    ended. Other processes, those of torchrun among them, are left alone."""
    if os.environ.pop(_LAUNCHED, None) is not None:
        threading.Thread(target=_end_at_end_of_input, daemon=True).start()


def let_the_first_speak(*, is_cause: bool) -> None:
    """Wait before an error is printed, in a process that may have it of another one's.

    The others wait for the first one, which has the same error or is gone: it ends with it, and the
    launcher ends them meanwhile. The first waits with what may have come of another's end, such as
    a connection that broke. Who is not ended speaks.

    Args:
        is_cause: the error cannot come of another process's end.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return
    if os.environ.get("RANK", "0") != "0":
        time.sleep(_OTHERS_WAIT_SECONDS)
    elif not is_cause:
        time.sleep(_FIRST_WAITS_SECONDS)


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
        _LAUNCHED: 1,
    }
    environment = os.environ | {name: str(value) for name, value in told.items()}
    environment.setdefault("OMP_NUM_THREADS", "1")
    command = [sys.executable, "-m", "distillery_core", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe)  # noqa: S603 - our own line again


def _end_at_end_of_input() -> None:
    while os.read(0, 1):  # nobody writes; a closed pipe reads as empty
        pass
    os._exit(EXIT_TERMINATED)  # the main thread may wait for a process that is gone as well


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes started in the block never get Ctrl-C, which a terminal sends to all of them: each
    would say so. This process gets it after the block."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


@contextmanager
def _sigterm_noted() -> Iterator[list[int]]:
    """A list that gets an entry when SIGTERM comes in the block, which does not end this process.

    Only the main thread may set a handler; in another one the signal does what it did.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    former = signal.signal(signal.SIGTERM, lambda number, frame: noted.append(number))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGTERM, former or signal.SIG_DFL)


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """End those that still run: asked first, killed if they do not hear."""
    for process in running:
        if process.poll() is None:
            process.terminate()
    for process in running:
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _watch(running: Sequence[subprocess.Popen[bytes]], noted: Sequence[int]) -> int:
    while not noted:
        codes = [process.poll() for process in running]
        failed = [code for code in codes if code and code > 0]
        if failed:  # it has said why; a signal beside it may have come of that
            return failed[0]
        for rank, code in enumerate(codes):
            if code:
                raise KilledBySignal(-code, rank, len(codes))
        if all(code == 0 for code in codes):
            return 0
        time.sleep(_POLL_SECONDS)
    return EXIT_TERMINATED


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as found:
        found.bind((_LOOPBACK, 0))
        port: int = found.getsockname()[1]
        return port
