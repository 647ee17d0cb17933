"""The pool: input order, bounded memory, no barriers, nothing lost when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_core.labelling.pool import in_order


def collect(
    count: int,
    delays: list[float],
    window: int,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[list[int], int]:
    """Results in order, and the highest number of items held at once."""
    taken, done, held = 0, 0, 0

    def items() -> Iterator[int]:
        nonlocal taken, held
        for number in range(count):
            taken += 1
            held = max(held, taken - done)
            yield number

    async def work(number: int) -> int:
        await asyncio.sleep(delays[number % len(delays)])
        return number * 10

    async def run() -> list[int]:
        nonlocal done
        results = []
        async for item, result in in_order(items(), work, window=window, stopped=stopped):
            assert result == item * 10
            results.append(item)
            done += 1
        return results

    return asyncio.run(run()), held


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.lists(st.floats(0, 0.002), min_size=1, max_size=7), st.integers(1, 9))
def test_order_holds_and_no_more_than_the_window_is_held(
    count: int, delays: list[float], window: int
) -> None:
    results, held = collect(count, delays, window)
    assert results == list(range(count))
    assert held <= window + 1


def test_slow_item_does_not_hold_up_the_others() -> None:
    ended: list[int] = []

    async def work(number: int) -> int:
        await asyncio.sleep(0.05 if number == 0 else 0)
        ended.append(number)
        return number

    async def run() -> list[int]:
        results = in_order(range(8), work, window=8, stopped=lambda: False)
        return [item async for item, _ in results]

    assert asyncio.run(run()) == list(range(8))
    assert ended[-1] == 0


def test_stop_takes_no_more_and_finishes_what_is_under_way() -> None:
    calls = iter([False] * 5)
    results, _ = collect(100, [0.001], 4, stopped=lambda: next(calls, True))
    assert results == list(range(5))


def test_error_cancels_what_is_under_way() -> None:
    cancelled = []

    async def work(number: int) -> int:
        if number == 0:
            raise ValueError("broken")
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return number

    async def run() -> None:
        async for _ in in_order(range(3), work, window=3, stopped=lambda: False):
            pass

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(run())
    assert cancelled == [1, 2]
