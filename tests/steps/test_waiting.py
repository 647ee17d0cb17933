"""A run that stands still at a REVIEW until somebody approves it, and at nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from distillery_core.steps import waiting
from distillery_core.types import Level
from distillery_core.verdicts.gate import GateState

OPEN = GateState(True, Level.REVIEW, ("approved by Ada",), verdict="REVIEW")
REVIEW = GateState(False, Level.REVIEW, ("n is small",), "distillery approve f --report validation")
FAIL = GateState(False, Level.FAIL, ("80 % wrong",), "mend the prompt")
STALE = GateState(False, Level.REVIEW, ("another prompt",), "distillery calibrate --filter f")


def _states(*states: GateState) -> tuple[Callable[[], GateState], Iterator[GateState]]:
    left = iter(states)
    return lambda: next(left), left


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SECONDS_BETWEEN_LOOKS", 0.01)


def test_goes_on_once_it_is_approved() -> None:
    said: list[str] = []
    ask, left = _states(REVIEW, REVIEW, OPEN, FAIL)
    assert waiting.wait_for_approval(ask, 1, said.append) is OPEN
    assert list(left) == [FAIL]
    assert said == ["waiting up to 1 min for an approval: distillery approve f --report validation"]


@pytest.mark.parametrize("state", [OPEN, FAIL, STALE])
def test_does_not_wait_for_what_no_approval_opens(state: GateState) -> None:
    ask, _ = _states(state)
    assert waiting.wait_for_approval(ask, 60, pytest.fail) is state


@pytest.mark.parametrize("minutes", [None, 0])
def test_does_not_wait_unless_asked_to(minutes: float | None) -> None:
    ask, _ = _states(REVIEW)
    assert waiting.wait_for_approval(ask, minutes, pytest.fail) is REVIEW


def test_gives_up_when_the_time_is_over() -> None:
    assert waiting.wait_for_approval(lambda: REVIEW, 0.001, lambda line: None) is REVIEW


def test_a_report_that_changes_to_fail_ends_the_waiting() -> None:
    ask, left = _states(REVIEW, FAIL, OPEN)
    assert waiting.wait_for_approval(ask, 60, lambda line: None) is FAIL
    assert list(left) == [OPEN]
