"""The flow of calls: how many at once, how long to wait after a failure, when to stop."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from distillery_core.errors import CheckFailed, DistilleryError, UserError

StopKind = Literal["auth", "quota", "not_found", "down", "wait", "budget", "failures"]

_COULD_NOT_RUN = {"auth", "quota", "not_found", "down"}


@dataclass(frozen=True, slots=True)
class Stop:
    """Why no more calls are made, and how to go on."""

    kind: StopKind
    message: str
    hint: str

    def error(self) -> DistilleryError:
        """UserError where the oracle could not be used, CheckFailed where a rule said stop."""
        if self.kind in _COULD_NOT_RUN:
            return UserError(self.message, hint=self.hint)
        return CheckFailed(self.message, hint=self.hint)


class AdaptiveLimit:
    """Concurrency by additive increase, multiplicative decrease.

    One call goes first, alone; its success opens the limit fully. Overload halves it (once per
    generation of calls, however many of them are refused), each success adds 1 / limit.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.limit = 1.0
        self.in_flight = 0
        self.open = False
        self._generation = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> int:
        """Wait for a slot; returns the generation, to be handed to `overloaded`."""
        if self.in_flight < int(self.limit):
            self.in_flight += 1
            return self._generation
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()
            raise
        return self._generation

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    def succeeded(self) -> None:
        """A call was answered."""
        if not self.open:
            self.open = True
            self.limit = float(self.maximum)
        self.limit = min(float(self.maximum), self.limit + 1 / self.limit)
        self._wake()

    def overloaded(self, generation: int) -> None:
        """A call was refused because there are too many."""
        if generation == self._generation:
            self.limit = max(1.0, self.limit / 2)
            self._generation += 1

    def _release(self) -> None:
        self.in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self.in_flight < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)


def delay_s(failures: int, base_s: float, cap_s: float, retry_after_s: float | None) -> float:
    """Seconds to wait after the n-th failure in a row: exponential with full jitter.

    Never less than the server asked for. Jitter as in "Exponential Backoff And Jitter" (AWS
    Architecture Blog, 2015): it spreads the calls that failed together.
    """
    highest = min(cap_s, base_s * 2.0 ** min(failures - 1, 30))
    jittered = random.uniform(0, highest)  # noqa: S311 - spreads calls, hides nothing
    return jittered if retry_after_s is None else retry_after_s + jittered


class FailureWatch:
    """Decides from the outcomes of calls when going on makes no sense.

    Args:
        window: number of last outcomes looked at; None never stops for a failure rate.
        share: share of failures in a full window that stops, 0-1.
    """

    _DOWN_IN_A_ROW = 10
    _ROWS_WITHOUT_SUCCESS = 3

    def __init__(self, window: int | None, share: float) -> None:
        self._share = share
        self._outcomes: deque[bool] | None = deque(maxlen=window) if window else None
        self._down_in_a_row = 0
        self._rows_failed = 0
        self._rows_overloaded = 0
        self._succeeded = False

    def good(self) -> None:
        """A usable answer arrived."""
        self._answered()
        self._add(True)

    def unusable(self, reason: str) -> Stop | None:
        """An answer arrived that failed its check."""
        self._answered()
        self._add(False)
        return self._rate(f"the last one: {reason}")

    def failed(self, kind: str, message: str, *, ends_row: bool) -> Stop | None:
        """A call failed.

        Overload is answered by asking less often; only when article after article is given up for
        it, as when a day's quota is used up, does going on make no sense.
        """
        if kind == "overload":
            self._rows_overloaded += ends_row
            if self._rows_overloaded < self._ROWS_WITHOUT_SUCCESS:
                return None
            what = f"{self._rows_overloaded} articles in a row met nothing but overload; {message}"
            return Stop("wait", what, "run the same command again later, with --retry-failed")
        self._add(False)
        self._rows_failed += ends_row
        self._down_in_a_row = self._down_in_a_row + 1 if kind == "down" else 0
        if kind == "down" and (not self._succeeded or self._down_in_a_row >= self._DOWN_IN_A_ROW):
            return Stop("down", message, "start the server, then run the same command again")
        if not self._succeeded and self._rows_failed >= self._ROWS_WITHOUT_SUCCESS:
            what = f"{self._rows_failed} articles failed and none was answered; {message}"
            return Stop("failures", what, "look into `distillery ledger show`")
        return self._rate(f"the last one: {message}")

    def _answered(self) -> None:
        self._succeeded = True
        self._down_in_a_row = self._rows_overloaded = 0

    def _add(self, good: bool) -> None:
        if self._outcomes is not None:
            self._outcomes.append(good)

    def _rate(self, last: str) -> Stop | None:
        outcomes = self._outcomes
        if outcomes is None or len(outcomes) < (outcomes.maxlen or 0):
            return None
        bad = outcomes.count(False)
        if bad < self._share * len(outcomes):
            return None
        what = f"stopped: {bad} of the last {len(outcomes)} calls brought no usable answer; {last}"
        hint = "answers so far are in the ledger; mend the cause, then run the same command again"
        return Stop("failures", what, hint)
