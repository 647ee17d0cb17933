"""Calls start spread out, and nobody waits longer for it than he must."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.oracle.flow import AdaptiveLimit
from distillery_core.oracle.pacing import Pace


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pace_of(answer_s: float) -> tuple[Pace, Clock]:
    clock = Clock()
    pace = Pace(clock)
    pace.answered(answer_s)
    return pace, clock


def test_nothing_waits_until_the_time_of_an_answer_is_known() -> None:
    pace = Pace(Clock())
    pace.answered(None)
    for _ in range(5):
        pace.started(4)
        assert pace.wait_s() == 0


def test_starts_are_spread_over_half_the_time_of_an_answer() -> None:
    pace, clock = pace_of(0.2)
    for _ in range(32):
        clock.now += pace.wait_s()
        pace.started(32)
    assert clock.now - 100 == pytest.approx(0.1, abs=0.007)


def test_what_is_shorter_than_a_timer_can_tell_is_not_spread() -> None:
    pace, _ = pace_of(0.01)
    pace.started(32)
    assert pace.wait_s() == 0


def test_a_late_start_costs_the_next_ones_nothing_and_gives_no_burst() -> None:
    pace, clock = pace_of(0.2)
    for _ in range(2):  # one every 10 ms, the first at once
        pace.started(10)
    assert pace.wait_s() == pytest.approx(0.01)
    clock.now += 0.018
    pace.started(10)
    assert pace.wait_s() == pytest.approx(0.002)
    clock.now += 60
    waits = []
    for _ in range(4):
        waits.append(pace.wait_s())
        pace.started(10)
    assert sum(wait == 0 for wait in waits) == 2, "two at most after a long pause"


@given(st.lists(st.floats(0.001, 30), min_size=1, max_size=30), st.integers(1, 500))
def test_no_wait_is_longer_than_a_slowest_answers_share(answers: list[float], limit: int) -> None:
    pace, _ = pace_of(answers[0])
    for seconds in answers:
        pace.answered(seconds)
    pace.started(limit)
    assert pace.wait_s() <= 0.5 * max(answers) / limit + 1e-9


def test_the_calls_of_an_opened_limit_do_not_start_together() -> None:
    starts: list[float] = []

    async def call(limit: AdaptiveLimit) -> None:
        async with limit:
            starts.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.1)
            limit.succeeded(0.1)

    async def run() -> None:
        limit = AdaptiveLimit(10)
        await asyncio.gather(*(call(limit) for _ in range(11)))
        assert limit.in_flight == 0

    asyncio.run(run())
    _, *opened = starts
    assert len(opened) == 10
    assert opened[-1] - opened[0] > 0.035
