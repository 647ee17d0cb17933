"""Concurrency that adapts, waits that spread, rules that stop."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.errors import CheckFailed, UserError
from distillery_core.oracle.client import OracleFailure
from distillery_core.oracle.flow import AdaptiveLimit, Stop, delay_s
from distillery_core.oracle.ladder import FormatLadder


def test_first_call_goes_alone_then_the_limit_opens() -> None:
    highest: list[int] = []

    async def call(limit: AdaptiveLimit) -> None:
        async with limit:
            highest.append(limit.in_flight)
            await asyncio.sleep(0.001)
            limit.succeeded()

    async def run() -> None:
        limit = AdaptiveLimit(5)
        await asyncio.gather(*(call(limit) for _ in range(20)))
        assert limit.in_flight == 0

    asyncio.run(run())
    assert highest[0] == 1
    assert max(highest) == 5


def test_overload_halves_once_per_generation_and_success_recovers() -> None:
    limit = AdaptiveLimit(16)
    limit.succeeded()
    for _ in range(2):
        limit.overloaded(0)
    assert limit.limit == 16, "two refusals at the start are no overload yet"
    for _ in range(10):
        limit.overloaded(0)
    assert limit.limit == 8
    limit.overloaded(1)
    assert limit.limit == 4
    for _ in range(9):
        limit.succeeded()
    assert 5 < limit.limit < 7
    for generation in range(2, 12):
        limit.overloaded(generation)
    assert limit.limit == 1


def test_one_refusal_in_a_hundred_does_not_shrink_the_limit_and_one_in_ten_does() -> None:
    for every, expected in ((100, 64.0), (10, 12.0)):
        limit = AdaptiveLimit(64)
        limit.succeeded()
        for number in range(1, 3001):
            if number % every:
                limit.succeeded()
            else:
                limit.overloaded(limit._generation)
        assert limit.limit == 64 if expected == 64 else limit.limit <= expected


def test_cancelled_waiter_gives_its_turn_on() -> None:
    async def run() -> None:
        limit = AdaptiveLimit(1)
        await limit.__aenter__()
        waiting = [asyncio.create_task(limit.__aenter__()) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await limit.__aexit__(None, None, None)
        await asyncio.wait_for(waiting[1], 1)
        assert limit.in_flight == 1

    asyncio.run(run())


@given(st.integers(1, 200), st.none() | st.floats(0, 100))
def test_wait_lies_between_what_was_asked_for_and_the_cap(
    failures: int, asked: float | None
) -> None:
    wait = delay_s(failures, 0.5, 30, asked)
    assert (asked or 0) <= wait <= (asked or 0) + min(30, 0.5 * 2.0 ** min(failures - 1, 10))


@pytest.mark.parametrize(
    ("kind", "error"), [("auth", UserError), ("down", UserError), ("budget", CheckFailed)]
)
def test_stop_says_who_has_to_act(kind: str, error: type[Exception]) -> None:
    assert isinstance(Stop(kind, "m", "h").error(), error)  # type: ignore[arg-type]


def format_refused(status: int, message: str = "response_format is not supported") -> OracleFailure:
    return OracleFailure("bad_request", message, status=status)


def test_ladder_goes_down_rung_by_rung_and_a_held_rung_stays() -> None:
    ladder = FormatLadder("json_schema")
    assert ladder.refused("json_schema", format_refused(500))
    assert ladder.refused("json_schema", format_refused(500)), "a call that was under way"
    assert ladder.current == "json_object"
    ladder.held("json_object")
    assert not ladder.refused("json_object", format_refused(400))
    assert ladder.current == "json_object"


def test_ladder_does_not_take_other_failures_for_its_own() -> None:
    ladder = FormatLadder("json_schema")
    assert not ladder.refused("json_schema", format_refused(500, "out of memory"))
    assert not ladder.refused("json_schema", format_refused(429))
    assert ladder.current == "json_schema"


def test_ladder_goes_up_again_when_plain_text_was_refused_too() -> None:
    ladder = FormatLadder("json_schema")
    assert ladder.refused("json_schema", format_refused(400, "too long"))
    assert ladder.refused("json_object", format_refused(400, "too long"))
    assert not ladder.refused("text", format_refused(400, "too long"))
    assert ladder.current == "json_schema"
    assert not ladder.refused("json_schema", format_refused(400, "too long"))
