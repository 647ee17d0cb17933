"""Exit codes and the one line on stderr, for each kind of ending."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
import typer

from distillery_core.cli import app as verbs
from distillery_core.cli import main as cli
from distillery_core.errors import CheckFailed, GateClosed, UserError, UserErrors

Run = Callable[..., Any]

CASES: list[tuple[BaseException, int, str]] = [
    (UserError("no such file", "a.jsonl", "name another"), 2,
     "error: a.jsonl: no such file\n  -> name another\n"),
    (UserErrors([UserError("one", "c.yaml:1"), UserError("two", "c.yaml:2")]), 2,
     "error: c.yaml:1: one\nc.yaml:2: two\n"),
    (CheckFailed("2 of 3 rows unusable", ["line 4"]), 1,
     "refused: 2 of 3 rows unusable\n  - line 4\n"),
    (GateClosed("labelling: the gate is closed", ["no report"], "distillery calibrate"), 1,
     "refused: labelling: the gate is closed\n  - no report\n  -> distillery calibrate\n"),
    (KeyboardInterrupt(), 130,
     "error: interrupted; what is finished is kept, the same command goes on from there\n"),
    (OSError(errno.ENOSPC, "No space left on device", "/data/x"), 2, "error: /data/x: the disk is"),
    (OSError(errno.EROFS, "Read-only file system", "/mnt/x"), 2,
     "error: /mnt/x: read-only file system\n  -> mend"),
    (PermissionError(errno.EACCES, "Permission denied", "/root/x"), 2,
     "error: /root/x: permission denied\n"),
    (MemoryError(), 2, "error: memory ran out; what was finished before is kept\n  -> end other"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), 2, "error: memory ran out"),
    (ImportError("libscipy.so: failed to map segment from shared object"), 2, "error: memory ran"),
    (OSError("libbitsandbytes.so: failed to map segment"), 2, "error: memory ran out"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 2, "error: memory"),
    (RuntimeError("std::bad_alloc"), 2, "error: memory ran out"),
    (RuntimeError("can't start new thread"), 2, "error: memory ran out"),
    (RuntimeError("could not execute a primitive"), 2, "error: memory ran out"),
    (sqlite3.OperationalError("database or disk is full"), 2, "error: the disk is full"),
    (sqlite3.OperationalError("attempt to write a readonly database"), 2, "error: .distillery"),
    (UserError("\x1b[2J gone", "t"), 2, "error: t: \\u001b[2J gone\n"),
]  # fmt: skip


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make every verb end with this error."""
    app = typer.Typer()

    @app.command()
    def command() -> None:
        raise error

    class Module:
        pass

    Module.app = app  # type: ignore[attr-defined]
    monkeypatch.setattr(verbs.importlib, "import_module", lambda name: Module)


@pytest.mark.parametrize(
    ("error", "code", "message"), CASES, ids=lambda value: type(value).__name__
)
def test_ending(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    failing(monkeypatch, error)
    outcome = run("status")
    assert outcome.code == code
    assert outcome.err.startswith(message)
    assert outcome.out == ""
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    "error", [ValueError("oops"), ImportError("x"), sqlite3.OperationalError("no such table")]
)
def test_a_bug_of_ours_shows_where_it_is(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    failing(monkeypatch, error)
    outcome = run("status")
    assert outcome.code == 2
    assert "Traceback" in outcome.err
    assert "this is a bug of distillery" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lable",), "No such verb 'lable'. Did you mean label?"),
        (("zzz",), "No such verb 'zzz'. See `distillery --help`."),
        (("filter", "lst"), "Did you mean 'list'?"),
        (("score", "--filtr", "x"), "No such option: --filtr. Did you mean --filter"),
        (("score", "--filter", "x"), "--input"),
        (("sample", "--filter", "x", "--input", "y", "--n-edge", "-1"), "n-edge"),
        (("train", "--filter", "x", "--epochs", "many"), "epochs"),
    ],
)
def test_usage_errors_are_2_and_name_what_is_near(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "--help" in outcome.err
    assert outcome.out == ""


def test_no_verb_shows_the_help(run: Run) -> None:
    outcome = run()
    assert outcome.code == 2
    assert "Usage: distillery" in outcome.err


def test_version(run: Run) -> None:
    from distillery_core import __version__

    outcome = run("--version")
    assert (outcome.code, outcome.out) == (0, f"distillery {__version__}\n")


def test_abort_of_a_question_is_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, typer.Abort())
    assert run("status").code == 2


def test_exit_of_a_verb_is_the_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, typer.Exit(1))
    assert run("status").code == 1


def test_streams_take_every_title(monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    raw = io.BytesIO()
    narrow: Any = io.TextIOWrapper(raw, encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", narrow)
    cli._speak_utf8()
    print("二 \U0001f525 \ud800", flush=True)
    assert raw.getvalue().decode() == "二 \U0001f525 \\ud800\n"
