"""Commits what happens in one turn of the event loop together.

A commit of its own for each change would cost more than all its statements. Nobody goes on before
the commit that holds his change: an attempt is in the ledger before its call is made, and an answer
before it is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from distillery_core.errors import DistilleryError
from distillery_core.oracle.ledger import BudgetExceeded, Ledger

Value = TypeVar("Value")


class GroupCommit:
    """The changes of many tasks to one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[asyncio.Future[None]] = []
        self._begun = False

    async def run(self, change: Callable[[], Value]) -> Value:
        """Make a change at once, and return when it is durable.

        Raises:
            BudgetExceeded: from the change, which then wrote nothing.
            UserError: the ledger cannot be written; no change of the group was.
        """
        loop = asyncio.get_running_loop()
        if not self._begun:
            self._ledger.begin_group()
            self._begun = True
            loop.call_soon(self._commit)
        try:
            value = change()
        except BudgetExceeded:
            raise
        except BaseException as error:  # the whole group was rolled back
            self._end(error)
            raise
        durable = loop.create_future()
        self._waiting.append(durable)
        await durable
        return value

    def _commit(self) -> None:
        if not self._begun:
            return
        try:
            self._ledger.commit_group()
        except DistilleryError as error:
            self._end(error)
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        waiting, self._waiting, self._begun = self._waiting, [], False
        for durable in waiting:
            if durable.done():
                continue
            if error is None:
                durable.set_result(None)
            else:
                durable.set_exception(error)
