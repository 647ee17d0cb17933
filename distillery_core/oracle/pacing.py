"""Spreads the starts of calls, so that their answers do not come back in bunches.

Calls that start together are answered together, wait for each other while their answers are read,
and start together again: with 32 in flight and 0.2 s an answer that cost 5 % of the throughput.
Many providers refuse bursts, too, whatever the minute's limit is.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]

_SHARE = 0.5
"""Starts are spread over this share of the time that an answer takes. With the whole of it, calls
could never be made up for that started late."""

_WEIGHT = 0.1
_SHORTEST_S = 0.001  # what an event loop's timers can tell apart


class Pace:
    """When the next call may start. Until an answer's time is known, at once."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._answer_s: float | None = None
        self._next_at = 0.0

    def answered(self, seconds: float | None) -> None:
        """An answer took so long (None: nobody looked)."""
        if seconds is None:
            return
        known = seconds if self._answer_s is None else self._answer_s
        self._answer_s = known + _WEIGHT * (seconds - known)

    def wait_s(self) -> float:
        """Seconds until the next call may start, 0 or more."""
        return max(self._next_at - self._clock(), 0.0)

    def started(self, at_once: float) -> None:
        """A call starts, of so many that may be in flight at once."""
        gap = _SHARE * (self._answer_s or 0.0) / at_once
        if gap >= _SHORTEST_S:
            # A start that comes late by less than a gap leaves the following ones their time.
            self._next_at = max(self._next_at, self._clock() - gap) + gap
