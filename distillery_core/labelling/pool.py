"""Works on a stream concurrently and hands results out in input order, with flat memory.

There are no batches: a slow item holds back the output behind it, never the work. At most `window`
items are held at a time, and at most `active` of them are being worked on; the others are done and
wait for their turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def in_order(
    items: Iterable[Item],
    work: Callable[[Item], Awaitable[Result]],
    *,
    window: int,
    stopped: Callable[[], bool],
    active: int | None = None,
) -> AsyncGenerator[tuple[Item, Result], None]:
    """Yield (item, result) in the order of `items`.

    No further item is taken once `stopped()`; what is under way is finished. If the caller goes
    away or a piece of work raises, everything under way is cancelled.
    """
    under_way = _UnderWay(work, window, active or window)
    try:
        for item in items:
            if stopped():
                break
            under_way.start(item)
            while under_way.first_is_done or under_way.is_full:
                if under_way.first_is_done:
                    yield under_way.pop()
                else:
                    await under_way.something_ends()
        while under_way:
            if under_way.first_is_done:
                yield under_way.pop()
            else:
                await under_way.something_ends()
    finally:
        await under_way.cancel()


class _UnderWay(Generic[Item, Result]):
    """The items that were taken and not yet handed out, oldest first."""

    def __init__(self, work: Callable[[Item], Awaitable[Result]], window: int, active: int) -> None:
        self._work, self._window, self._active = work, window, active
        self._pending: deque[tuple[Item, asyncio.Task[Result]]] = deque()
        self._running = 0
        self._ended = asyncio.Event()

    def __bool__(self) -> bool:
        return bool(self._pending)

    @property
    def first_is_done(self) -> bool:
        return bool(self._pending) and self._pending[0][1].done()

    @property
    def is_full(self) -> bool:
        return len(self._pending) >= self._window or self._running >= self._active

    def start(self, item: Item) -> None:
        task = asyncio.ensure_future(_run(self._work, item))
        task.add_done_callback(self._note_end)
        self._pending.append((item, task))
        self._running += 1

    def pop(self) -> tuple[Item, Result]:
        item, task = self._pending.popleft()
        return item, task.result()

    async def something_ends(self) -> None:
        """Wait until some work ends; it goes on when the waiting itself is cancelled."""
        self._ended.clear()
        await self._ended.wait()

    async def cancel(self) -> None:
        tasks = [task for _, task in self._pending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _note_end(self, _: asyncio.Task[Any]) -> None:
        self._running -= 1
        self._ended.set()


async def _run(work: Callable[[Item], Awaitable[Result]], item: Item) -> Result:
    return await work(item)
