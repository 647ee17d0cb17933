"""Budgets per minute: with a clock that is moved by hand, and against a server that refuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from distillery_core.oracle.client import OracleFailure, OracleRequest, Usage
from distillery_core.oracle.openai_client import create
from distillery_core.oracle.rate_headers import Reported
from distillery_core.oracle.rate_limits import Need, RateLimits
from distillery_core.oracle.recording import Recording
from distillery_core.oracle.replay_limits import ReplayLimits
from distillery_core.oracle.replay_server import ReplayServer
from distillery_core.oracle.spec import Limits, OracleSpec

Build = Callable[..., OracleRequest]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def calls_in(rates: RateLimits, clock: Clock, need: Need, seconds: float) -> list[float]:
    """When calls are made in so many seconds, each as soon as it may; all end after a second."""

    async def run() -> list[float]:
        made: list[float] = []
        while (wait_s := rates.seconds_to_wait(need)) + clock.now < seconds:
            clock.now += wait_s + 1e-9
            await rates.take(need, lambda _: False)
            made.append(clock.now)
            rates.settle(need, None)
        return made

    return asyncio.run(run())


def most_in_a_minute(made: list[float]) -> int:
    return max(sum(begin <= at < begin + 60 for at in made) for begin in made)


@pytest.mark.parametrize(
    ("limits", "per_minute"),
    [
        (Limits(requests_per_minute=100), 100),
        (Limits(input_tokens_per_minute=30_000), 30),
        (Limits(output_tokens_per_minute=5_000), 50),
        (Limits(tokens_per_minute=22_000), 20),
        (Limits(requests_per_minute=100, tokens_per_minute=22_000), 20),
    ],
)
def test_no_minute_holds_more_than_is_declared_and_most_of_it_is_used(
    limits: Limits, per_minute: int
) -> None:
    clock = Clock()
    need = Need(1000, 100, 3500)
    made = calls_in(RateLimits(limits, clock), clock, need, 300)
    assert per_minute * 0.9 <= most_in_a_minute(made) <= per_minute + 1
    assert len(made) >= 5 * per_minute * 0.9


def test_without_limits_nothing_waits() -> None:
    assert RateLimits().seconds_to_wait(Need(1e9, 1e9, 1)) == 0


def test_tokens_that_were_not_used_come_back(request_about: Build) -> None:
    clock = Clock()
    rates = RateLimits(Limits(output_tokens_per_minute=1000), clock)
    need = Need(10, 1000, 35)
    assert asyncio.run(rates.take(need, lambda _: False))
    assert rates.seconds_to_wait(need) > 50
    rates.settle(need, Usage(10, 20))
    assert rates.seconds_to_wait(need) < 5


def test_input_is_estimated_from_what_was_counted(request_about: Build) -> None:
    rates = RateLimits()
    request = request_about("x" * 1000)
    before = rates.need(request).input_tokens
    for _ in range(200):
        need = rates.need(request)
        rates.settle(need, Usage(need.characters, 10))  # one token a character, as in Chinese
    assert rates.need(request).input_tokens > 3 * before


def test_nothing_left_waits_for_the_reset_and_says_so() -> None:
    clock = Clock()
    rates = RateLimits(clock=clock)
    need = Need(1000, 100, 3500)
    rates.observe({"tokens": Reported(10_000, 0, 30.0)}, refused=True)
    assert rates.seconds_to_wait(need) == pytest.approx(30)
    assert not asyncio.run(rates.take(need, lambda wait_s: wait_s > 20)), "given up"
    clock.now = 31
    assert rates.seconds_to_wait(need) == 0


def test_a_gateway_that_reports_nothing_but_zeros_has_no_limit() -> None:
    rates = RateLimits()
    rates.observe({"requests": Reported(0, 0, 0), "tokens": Reported(None, 0, None)})
    assert rates.seconds_to_wait(Need(1000, 100, 1)) == 0


def test_what_is_left_is_shared_with_the_calls_under_way() -> None:
    clock = Clock()
    rates = RateLimits(clock=clock)
    need = Need(0, 0, 0)
    rates.observe({"requests": Reported(100, 3, 60.0)})
    for _ in range(3):
        assert rates.seconds_to_wait(need) == 0
        asyncio.run(rates.take(need, lambda _: False))
    assert rates.seconds_to_wait(need) > 0
    rates.observe({"requests": Reported(100, 2, 60.0)})  # one of the three was counted there
    assert rates.seconds_to_wait(need) > 0, "the others are on their way"


@pytest.mark.parametrize(("headers", "fixed"), [("openai", True), ("anthropic", False)])
def test_server_that_refuses_beyond_its_limit_is_learnt(
    recording: Recording, request_about: Build, headers: str, fixed: bool
) -> None:
    """30 requests in each window of 0.6 s, 16 at a time: refusals end once the limit is known."""
    limits = ReplayLimits(30, 0.6, headers, fixed)  # type: ignore[arg-type]
    with ReplayServer([recording], limits=limits) as server:
        spec = OracleSpec(name="o", model="m", base_url=server.base_url, concurrency=16)
        answered_at = asyncio.run(ask_for(spec, request_about("The first text."), 2.7))
        assert server.gate is not None
        began = answered_at[0]
        late = [at for at in server.gate.refused_at if at - began > 1.3]
        per_window = len(answered_at) / (2.7 / 0.6)
        assert per_window > 15, "the limit is used"
        assert len(late) <= 4, f"{len(late)} of {server.gate.refused} refusals came late"


async def ask_for(spec: OracleSpec, request: OracleRequest, seconds: float) -> list[float]:
    """Ask as often as the limits let, for so long; returns when answers came."""
    oracle, rates = create(spec, {}), RateLimits(spec.limits)
    answered: list[float] = []
    until = time.monotonic() + seconds

    async def worker() -> None:
        while time.monotonic() < until:
            need = rates.need(request)
            if not await rates.take(need, lambda _: time.monotonic() > until):
                return
            try:
                reply = await oracle.complete(request)
            except OracleFailure as failure:
                rates.settle(need, None)
                rates.observe(failure.limits, refused=True)
                await asyncio.sleep(failure.retry_after_s or 0)
            else:
                rates.settle(need, reply.usage)
                rates.observe(reply.limits)
                answered.append(time.monotonic())

    await asyncio.gather(*(worker() for _ in range(spec.concurrency)))
    await oracle.aclose()
    return answered
