"""Money before each call: the worst case is reserved, and waits for calls in flight if it must."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from distillery_core.oracle.group_commit import GroupCommit
from distillery_core.oracle.ledger import BudgetExceeded, ItemKey, StepName
from distillery_core.oracle.ledger_job import Job
from distillery_core.oracle.prices import to_nano


class Purse:
    """Writes attempts down and settles them, within the budget of a run.

    `exceeded` is set once a call did not fit and no call in flight could give anything back.
    """

    def __init__(self, job: Job, commits: GroupCommit, budget_usd: float | None) -> None:
        self.exceeded: BudgetExceeded | None = None
        self._job, self._commits = job, commits
        self._budget_nano = None if budget_usd is None else to_nano(budget_usd)
        self._settled = asyncio.Event()

    async def reserve(
        self,
        key: ItemKey,
        article_id: str,
        step: StepName,
        answer_format: str,
        worst_nano: int,
        stopped: Callable[[], bool],
    ) -> int | None:
        """The attempt's number once it is durable; None when the run has to stop instead."""
        begin = partial(
            self._job.begin, key, article_id, step, answer_format, worst_nano, self._budget_nano
        )
        while not stopped():
            try:
                return await self._commits.run(begin)
            except BudgetExceeded as exceeded:
                if not exceeded.in_flight:
                    self.exceeded = exceeded
                    return None
            # Calls in flight are reserved at their worst case; most of it comes back.
            await self._settled.wait()
        return None

    async def settle(self, change: Callable[[], None]) -> None:
        """Write down how an attempt ended, and wake those who wait for its money."""
        try:
            await self._commits.run(change)
        finally:
            settled, self._settled = self._settled, asyncio.Event()
            settled.set()
