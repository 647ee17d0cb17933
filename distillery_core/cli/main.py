"""Entry point of the `distillery` command: runs a verb and turns errors into exit codes."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence

import typer
import typer.main

from distillery_core.cli.app import Interrupted, app
from distillery_core.cli.console import print_error
from distillery_core.errors import EXIT_USER_ERROR, CheckFailed, DistilleryError
from distillery_core.out_of_memory import is_out_of_memory, other_cause

EXIT_INTERRUPTED = 130
"""128 + SIGINT, what a shell reports for a command that Ctrl-C ended."""

EXIT_READER_LEFT = 141
"""128 + SIGPIPE, as of any command whose reader (`head`) closed the pipe before all was said."""

_USAGE_ERROR = typer.BadParameter.__mro__[2]
"""Base of typer's own complaints (typer carries its own copy of click, or imports it)."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_ALLOWED = {errno.EROFS, errno.EACCES, errno.EPERM}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: the arguments without the program's name; None takes the process's.

    Returns:
        0 done; 1 a gate or check said no; 2 could not run (also a bug of ours, which shows its
        traceback); 130 interrupted; 141 the reader of stdout closed it early.
    """
    _speak_utf8()
    try:
        code = typer.main.get_command(app).main(
            args=None if argv is None else list(argv),
            prog_name="distillery",
            standalone_mode=False,
        )
    except BaseException as error:  # noqa: BLE001 - the one place that decides about every error
        return _exit_code(error)
    _finish_output()
    return code if isinstance(code, int) else 0


def _finish_output() -> None:
    """`distillery filter list | head -1` closes the pipe early, which is nobody's mistake."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _speak_utf8() -> None:
    """A console with a narrow code page must not end a run because of a title."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _exit_code(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return _code_of(error)
    if isinstance(error, DistilleryError):
        print_error(str(error), word="refused" if isinstance(error, CheckFailed) else "error")
        return error.exit_code
    if isinstance(error, (KeyboardInterrupt, Interrupted)):
        print_error(f"interrupted; {_how_to_go_on(error)}")
        return EXIT_INTERRUPTED
    if isinstance(error, _USAGE_ERROR):
        return _usage(error)
    return _outside(error)


def _how_to_go_on(error: BaseException) -> str:
    own = str(error) if isinstance(error, Interrupted) else ""
    return own or "what is finished is kept, the same command goes on from there"


def _code_of(error: SystemExit) -> int:
    if isinstance(error.__context__, BrokenPipeError):
        return EXIT_READER_LEFT
    return error.code if isinstance(error.code, int) else int(error.code is not None)


def _usage(error: BaseException) -> int:
    """A mistake in the command line itself, as typer found it."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print_error(context.get_help() if context else str(error), word="")
        return EXIT_USER_ERROR
    message = _message(error)
    hint = f"\n  -> {context.command_path} --help" if context else ""
    print_error(f"{message}{hint}")
    return EXIT_USER_ERROR


def _message(error: BaseException) -> str:
    near = getattr(error, "possibilities", None)
    if near:
        return f"{getattr(error, 'message', error)}. Did you mean {' or '.join(sorted(near))}?"
    return str(error.format_message()) if hasattr(error, "format_message") else str(error)


def _outside(error: BaseException) -> int:
    """The machine's refusals in one line; all else is a bug of ours and shows where it happened."""
    aborted = isinstance(error, typer.Abort)
    line = "not confirmed, nothing was done" if aborted else _machine_refusal(error)
    if line:
        print_error(line)
    else:
        traceback.print_exception(error)
        print_error("this is a bug of distillery, not of yours; please report the lines above")
    return EXIT_USER_ERROR


def _machine_refusal(error: BaseException) -> str | None:
    if is_out_of_memory(error):
        cause = other_cause(error)
        return f"{_MEMORY_FULL}\n  -> or it is {cause}" if cause else _MEMORY_FULL
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        if error.errno in _FULL:
            return f"{place}{_DISK_FULL}"
        if error.errno in _NOT_ALLOWED:
            return f"{place}{str(error.strerror).lower()}\n  -> {_NAME_ANOTHER}"
    if type(error).__name__ == "OperationalError":  # sqlite3, imported only by those who use it
        return _database_refusal(str(error))
    return None


def _database_refusal(message: str) -> str | None:
    if "is full" in message:
        return _DISK_FULL
    if "readonly" in message or "unable to open" in message:
        return f".distillery cannot be written ({message})\n  -> {_NAME_ANOTHER}"
    return None


_MEMORY_FULL = (
    "memory ran out; what was finished before is kept"
    "\n  -> end other programs, or raise the limit (ulimit -v or -u, or the container's), and run "
    "the same command again"
)
_DISK_FULL = (
    "the disk is full; what was finished before is kept"
    "\n  -> free some space and run the same command again, it goes on from there"
)
_NAME_ANOTHER = "mend its permissions or name another place, then run the same command again"
