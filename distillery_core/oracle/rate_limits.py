"""Requests and tokens per minute: kept below what is declared, and below what replies report.

Limits come from two places and each has a budget of its own: `limits:` in oracles.yaml, and the
rate-limit headers of replies (`rate_headers`). A call waits until every budget has room for it. Its
tokens are estimated before, input from its characters and output at the most it may write (as
providers themselves do), and corrected when the reply has counted them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from distillery_core.oracle.client import OracleRequest, Usage
from distillery_core.oracle.rate_headers import Reported, Unit
from distillery_core.oracle.spec import Limits

Clock = Callable[[], float]

_WINDOW_S = 60.0
_SHARE = 0.95
_BURST_SHARE = 0.05
"""A declared limit is used evenly: a burst of 5 % and then 95 % of its rate, so that no window of a
minute, wherever it begins, holds more than the limit."""

_CHARS_PER_TOKEN = 3.5
_RATIO_WEIGHT = 0.05
_WAIT_A_BIT_S = 0.01
_LONGEST_NAP_S = 0.5


@dataclass(slots=True)
class Need:
    """What a call takes of each limit: an estimate first."""

    input_tokens: float
    output_tokens: float
    characters: int

    def of(self, unit: Unit) -> float:
        """The amount in one unit."""
        if unit == "requests":
            return 1.0
        if unit == "tokens":
            return self.input_tokens + self.output_tokens
        return self.input_tokens if unit == "input_tokens" else self.output_tokens


class RateLimits:
    """All budgets of one oracle. Without any limit known, nothing waits."""

    def __init__(self, declared: Limits | None = None, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._declared = {
            unit: _Declared(limit, clock()) for unit, limit in _per_minute(declared).items()
        }
        self._reported: dict[Unit, _Learnt] = {}
        self._tokens_a_char = 1 / _CHARS_PER_TOKEN
        self._turn = asyncio.Lock()

    def need(self, request: OracleRequest) -> Need:
        """An estimate of what a request takes."""
        characters = request.characters
        tokens = characters * self._tokens_a_char
        return Need(tokens, request.max_output_tokens, characters)

    def seconds_to_wait(self, need: Need) -> float:
        """How long until every budget has room, as far as is known now."""
        now = self._clock()
        waits = (budget.wait_s(need.of(unit), now) for unit, budget in self._budgets())
        return max(waits, default=0.0)

    async def take(self, need: Need, give_up: Callable[[float], bool]) -> bool:
        """Wait for room, in the order of coming, and take it.

        Args:
            give_up: asked with the seconds still to wait; yes ends the waiting.

        Returns:
            Whether there was room; False when it was given up.
        """
        if self._declared or self._reported:
            async with self._turn:
                while (wait_s := self.seconds_to_wait(need)) > 0:
                    if give_up(wait_s):
                        return False
                    # In pieces, since a reply on its way may say that there is room again.
                    await asyncio.sleep(min(wait_s + _WAIT_A_BIT_S, _LONGEST_NAP_S))
        now = self._clock()
        for unit, budget in self._budgets():
            budget.take(need.of(unit), now)
        return True

    def settle(self, need: Need, usage: Usage | None) -> None:
        """Correct the estimate by what was counted; a failed call is taken as used in full."""
        counted = need
        if usage is not None:
            self._learn_ratio(need, usage)
            counted = Need(usage.input_tokens, usage.output_tokens, need.characters)
        for unit, budget in self._budgets():
            budget.settle(need.of(unit), counted.of(unit))

    def observe(self, reported: Mapping[Unit, Reported], *, refused: bool = False) -> None:
        """Note the limits of a reply; `refused`: it was a 429."""
        now = self._clock()
        for unit, what in reported.items():
            if what.remaining is None or not what.limit:  # some gateways send 0 for "none"
                continue
            if unit not in self._reported:
                self._reported[unit] = _Learnt(now)
            self._reported[unit].observe(what, now, refused)

    def _budgets(self) -> list[tuple[Unit, _Budget]]:
        return [*self._declared.items(), *self._reported.items()]

    def _learn_ratio(self, need: Need, usage: Usage) -> None:
        if need.characters > 0 and usage.input_tokens > 0:
            ratio = usage.input_tokens / need.characters
            self._tokens_a_char += _RATIO_WEIGHT * (ratio - self._tokens_a_char)


class _Budget:
    """An amount that is taken from and comes back with time; a large call may overdraw it."""

    def __init__(self, capacity: float, rate: float, now: float) -> None:
        self._capacity, self._rate = capacity, rate
        self._level, self._at = capacity, now
        self._in_flight = 0.0

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until there is room (for more than it can ever hold: until it is full)."""
        self._refill(now)
        short = min(amount, self._capacity) - self._level
        return short / self._rate if short > 0 else 0.0

    def take(self, amount: float, now: float) -> None:
        """Take an amount for a call that is made now."""
        self._refill(now)
        self._level -= amount
        self._in_flight += amount

    def settle(self, estimated: float, counted: float) -> None:
        """A call is over: its amount was estimated, and is counted now."""
        self._in_flight = max(self._in_flight - estimated, 0.0)
        self._level = min(self._level + estimated - counted, self._capacity)

    def _refill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
        self._at = now


class _Declared(_Budget):
    """A limit per minute from oracles.yaml, used evenly."""

    def __init__(self, limit: float, now: float) -> None:
        super().__init__(max(limit * _BURST_SHARE, 1.0), limit * _SHARE / _WINDOW_S, now)


class _Learnt(_Budget):
    """A limit as the replies report it: what is left, less what is on its way there.

    Most providers give back continuously. One that refuses a call when nothing is left may as well
    count in fixed windows: from then on nothing is expected back before the reset.
    """

    def __init__(self, now: float) -> None:
        super().__init__(float("inf"), 0.0, now)
        self._fixed_windows = False
        self._resets_at: float | None = None

    def observe(self, reported: Reported, now: float, refused: bool) -> None:
        """Take over what a reply reports."""
        remaining, reset_s = reported.remaining or 0.0, reported.reset_s
        self._fixed_windows |= refused and remaining < 1
        self._capacity = reported.limit or 1.0
        self._level, self._at = remaining - self._in_flight, now
        gone = self._capacity - remaining
        self._rate = gone / reset_s if reset_s and gone > 0 else self._capacity / _WINDOW_S
        self._resets_at = now + reset_s if reset_s and self._fixed_windows else None

    def wait_s(self, amount: float, now: float) -> float:
        """As for every budget; with fixed windows, until the reset."""
        wait_s = super().wait_s(amount, now)
        return self._resets_at - now if wait_s > 0 and self._resets_at is not None else wait_s

    def _refill(self, now: float) -> None:
        if self._resets_at is None:
            super()._refill(now)
        elif now >= self._resets_at:
            self._level, self._at = self._capacity - self._in_flight, now
            self._resets_at = None


def _per_minute(declared: Limits | None) -> dict[Unit, float]:
    if declared is None:
        return {}
    limits: dict[Unit, int | None] = {
        "requests": declared.requests_per_minute,
        "input_tokens": declared.input_tokens_per_minute,
        "output_tokens": declared.output_tokens_per_minute,
        "tokens": declared.tokens_per_minute,
    }
    return {unit: float(limit) for unit, limit in limits.items() if limit is not None}
