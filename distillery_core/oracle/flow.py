"""The flow of calls: how many at once, how long to wait after a failure, when to stop."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from distillery_core.errors import CheckFailed, DistilleryError, UserError
from distillery_core.oracle.pacing import Pace

StopKind = Literal[
    "auth", "quota", "not_found", "down", "wait", "budget", "failures", "no_progress",
    "fingerprint", "batch", "drift",
]  # fmt: skip

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


_TOLERATED_SHARE = 0.025
_FIRST_CREDIT = 2.0
_MOST_CREDIT = 8.0


class AdaptiveLimit:
    """Concurrency by additive increase, multiplicative decrease.

    One call goes first, alone; its success opens the limit fully. Overload halves it (once per
    generation of calls, however many of them are refused), each success adds 1 / limit.

    Calls start at a pace, see `pacing`.

    A few refusals in a hundred calls are the weather at large providers and say nothing about this
    run's share: with halving for each, 1 % of them would hold any limit near 14 (the square root
    law of TCP). So each success earns a little credit, and a refusal first uses up credit.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.limit = 1.0
        self.in_flight = 0
        self.open = False
        self._pace = Pace()
        self._timer: asyncio.TimerHandle | None = None
        self._credit = _FIRST_CREDIT
        self._generation = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> int:
        """Wait for a slot; returns the generation, to be handed to `overloaded`."""
        if not self._waiting and self._free and not self._pace.wait_s():
            self._start()
            return self._generation
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._wake()
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

    def succeeded(self, latency_s: float | None = None) -> None:
        """A call was answered, after so many seconds."""
        self._pace.answered(latency_s)
        if not self.open:
            self.open = True
            self.limit = float(self.maximum)
        self.limit = min(float(self.maximum), self.limit + 1 / self.limit)
        self._credit = min(self._credit + _TOLERATED_SHARE, _MOST_CREDIT)
        self._wake()

    def overloaded(self, generation: int) -> None:
        """A call was refused because there are too many."""
        if self._credit >= 1:
            self._credit -= 1
        elif generation == self._generation:
            self.limit = max(1.0, self.limit / 2)
            self._generation += 1

    def _release(self) -> None:
        self.in_flight -= 1
        self._wake()

    @property
    def _free(self) -> bool:
        return self.in_flight < int(self.limit)

    def _start(self) -> None:
        self.in_flight += 1
        self._pace.started(self.limit)

    def _wake(self) -> None:
        """Start those who wait, as many as may and not faster than the pace."""
        while self._waiting and self._free:
            if self._waiting[0].done():  # cancelled
                self._waiting.popleft()
            elif wait_s := self._pace.wait_s():
                self._wake_later(wait_s)
                return
            else:
                self._start()
                self._waiting.popleft().set_result(None)

    def _wake_later(self, wait_s: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._wake_now)

    def _wake_now(self) -> None:
        self._timer = None
        self._wake()


def delay_s(failures: int, base_s: float, cap_s: float, retry_after_s: float | None) -> float:
    """Seconds to wait after the n-th failure in a row: exponential with full jitter.

    Never less than the server asked for. Jitter as in "Exponential Backoff And Jitter" (AWS
    Architecture Blog, 2015): it spreads the calls that failed together.
    """
    highest = min(cap_s, base_s * 2.0 ** min(failures - 1, 30))
    jittered = random.uniform(0, highest)  # noqa: S311 - spreads calls, hides nothing
    return jittered if retry_after_s is None else retry_after_s + jittered
