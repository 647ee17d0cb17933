"""Works on a stream concurrently and hands results out in input order, with flat memory.

There are no batches: a slow item holds back the output behind it, never the work. At most `window`
items are held at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def in_order(
    items: Iterable[Item],
    work: Callable[[Item], Awaitable[Result]],
    *,
    window: int,
    stopped: Callable[[], bool],
) -> AsyncGenerator[tuple[Item, Result], None]:
    """Yield (item, result) in the order of `items`.

    No further item is taken once `stopped()`; what is under way is finished. If the caller goes
    away or a piece of work raises, everything under way is cancelled.
    """
    pending: deque[tuple[Item, asyncio.Task[Result]]] = deque()
    try:
        for item in items:
            if stopped():
                break
            pending.append((item, asyncio.ensure_future(_run(work, item))))
            while pending and (len(pending) >= window or pending[0][1].done()):
                yield await _first(pending)
        while pending:
            yield await _first(pending)
    finally:
        tasks = [task for _, task in pending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(work: Callable[[Item], Awaitable[Result]], item: Item) -> Result:
    return await work(item)


async def _first(pending: deque[tuple[Item, asyncio.Task[Result]]]) -> tuple[Item, Result]:
    item, task = pending[0]
    # Shielded: a cancelled caller must not free one slot for another call before all are cancelled.
    result = await asyncio.shield(task)
    pending.popleft()
    return item, result
