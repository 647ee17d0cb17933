"""Waits for a person at a gate: a run may stand still at a REVIEW until somebody approves it."""

from __future__ import annotations

import time
from collections.abc import Callable

from distillery_core.verdicts.gate import GateState

SECONDS_BETWEEN_LOOKS = 2.0


def wait_for_approval(
    ask: Callable[[], GateState], minutes: float | None, say: Callable[[str], None]
) -> GateState:
    """Ask a gate again until a REVIEW was approved, or the time is over.

    Args:
        ask: the gate's state now.
        minutes: how long to wait; None or 0 does not wait.

    Returns:
        The gate's last state. Whatever an approval cannot open is not waited for.
    """
    state = ask()
    if not minutes or not _may_be_approved(state):
        return state
    say(f"waiting up to {minutes:g} min for an approval: {state.next_command}")
    until = time.monotonic() + 60 * minutes
    while _may_be_approved(state) and time.monotonic() < until:
        time.sleep(min(SECONDS_BETWEEN_LOOKS, max(until - time.monotonic(), 0)))
        state = ask()
    return state


def _may_be_approved(state: GateState) -> bool:
    return not state.open and state.next_command.startswith("distillery approve")
