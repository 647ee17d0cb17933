"""Errors say what, where and what to do, and survive a process border."""

from __future__ import annotations

import pickle

from distillery_core.errors import CheckFailed, GateClosed, UserError, UserErrors


def test_a_user_error_reads_where_what_and_hint() -> None:
    error = UserError("unknown key 'epoch'", where="config.yaml:10", hint="did you mean 'epochs'?")
    assert str(error) == "config.yaml:10: unknown key 'epoch'\n  -> did you mean 'epochs'?"
    assert error.exit_code == 2


def test_several_errors_are_all_shown() -> None:
    error = UserErrors([UserError("one", where="a"), UserError("two", where="b")])
    assert str(error).splitlines() == ["a: one", "b: two"]
    assert isinstance(error, UserError)


def test_a_closed_gate_lists_its_reasons() -> None:
    error = GateClosed("the calibration gate is closed", ["FAIL: misses"], hint="edit the prompt")
    assert str(error).splitlines()[1:] == ["  - FAIL: misses", "  -> edit the prompt"]
    assert error.exit_code == 1


def test_errors_survive_pickling_as_worker_processes_need() -> None:
    for error in (
        UserError("a", "b", "c"),
        UserErrors([UserError("a"), UserError("b")]),
        CheckFailed("a", ["b"], "c"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
