"""Follows the batches of a filter from the ledger to their end: send, look, collect, cancel."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from distillery_core.errors import UserError
from distillery_core.oracle.client import Oracle, OracleFailure
from distillery_core.oracle.flow import Stop
from distillery_core.oracle.ledger_batches import Batch, batches_under_way, note_batch
from distillery_core.oracle.ledger_job import Job
from distillery_core.oracle.provider_batch import RemoteBatch
from distillery_core.oracle.provider_batch_collect import Collector
from distillery_core.oracle.provider_batch_send import Patience, Sender
from distillery_core.types import Progress, silent

_POLL_GROWTH = 1.5
_NEVER_MADE = ("bad_request", "not_found")
_HOW_ON = (
    "what it answered is kept; the same command submits the rest again, and without"
    " --provider-batch the rest is asked synchronously, at the full price"
)


class BatchWatch:
    """The batches of one filter. `stop` is set by one that was refused or cancelled, `queue_full`
    by one that found no room; `say` is told a line whenever something happened.

    Raises:
        OracleFailure: from every method that goes to the provider.
    """

    def __init__(
        self,
        oracle: Oracle,
        job: Job,
        sender: Sender,
        collector: Collector,
        patience: Patience,
        say: Callable[[str], None],
    ) -> None:
        self.stop: Stop | None = None
        self.queue_full = False
        self._oracle, self._job = oracle, job
        self._sender, self._collector = sender, collector
        self._patience, self._say = patience, say
        self._statuses: dict[str, str] = {}

    def under_way(self) -> list[Batch]:
        """The batches that have not ended.

        Raises:
            UserError: they were sent to another oracle.
        """
        batches = batches_under_way(self._job.ledger, self._job.filter)
        for batch in batches:
            if (batch.oracle, batch.identity) != (self._oracle.spec.name, self._oracle.identity):
                raise UserError(
                    f"a batch of {batch.requests} requests is under way at oracle {batch.oracle!r}",
                    where=self._job.ledger.path,
                    hint=f"go on with --oracle {batch.oracle}, or end it with --cancel-batches",
                )
        return batches

    async def take_up(self) -> None:
        """Send what an earlier process had not sent whole, and collect what has ended."""
        for batch in self.under_way():
            if batch.batch_id is None:
                self._say(f"taking up a batch of {batch.requests} requests")
                await self.send(batch, resumed=True)
        await self.look()

    async def send(self, batch: Batch, *, resumed: bool) -> None:
        """Bring a batch that stands in the ledger to the provider."""
        try:
            remote = await self._sender.send(batch, resumed=resumed)
        except OracleFailure as failure:
            if failure.kind not in _NEVER_MADE:
                raise
            self._collector.never_ran(batch.key, failure.message)
            self._refused(failure.message)
            return
        if remote is None:
            self._collector.never_ran(batch.key, "its file of requests was lost before it was sent")
            return
        self._say(f"{remote.id}: {batch.requests} requests, {remote.status}")

    async def wait(self, progress: Progress) -> None:
        """Look at all batches again and again until each has ended and was collected."""
        pause = self._patience.poll_s
        while self.under_way():
            await self.look(progress)
            if self.under_way():
                await asyncio.sleep(pause)
                pause = min(pause * _POLL_GROWTH, self._patience.poll_cap_s)

    async def look(self, progress: Progress = silent) -> None:
        """See how each batch stands, and collect those that have ended."""
        batches = self.under_way()
        done = 0
        for batch in batches:
            remote = await self._look_at(batch)
            if remote is not None:
                done += remote.answered + remote.failed
        counted = Counter(self._statuses.values())
        note = ", ".join(f"{count} {status}" for status, count in counted.items())
        progress(done, sum(batch.requests for batch in batches), note)

    async def cancel(self) -> None:
        """End every batch, and collect what was answered until then."""
        for batch in self.under_way():
            await self._cancel(batch)
        await self.wait(silent)
        self.stop = None  # it was wished for

    async def _look_at(self, batch: Batch) -> RemoteBatch | None:
        try:
            remote = await self._sender.look(batch.batch_id or "")
        except OracleFailure as failure:
            if failure.kind != "not_found":
                raise
            self._unknown(batch)
            return None
        if remote.status != batch.status:
            note_batch(self._job.ledger, batch.key, "created", status=remote.status)
            self._say(f"{remote.id}: {remote.status}")
        self._statuses[batch.key] = remote.status
        if remote.ended:
            await self._collector.collect(batch.key, remote)
            self._judge(remote)
        return remote

    def _judge(self, remote: RemoteBatch) -> None:
        """What a batch that has ended means for the run; an expired one is simply topped up."""
        if remote.queue_full:
            self.queue_full = True
        elif remote.status == "failed":
            self._refused(remote.error_message or "no reason given")
        elif remote.status == "cancelled":
            self.stop = self.stop or Stop("batch", f"batch {remote.id} was cancelled", _HOW_ON)

    def _refused(self, message: str) -> None:
        what = f"oracle {self._oracle.spec.name!r} refused a batch: {message}"
        self.stop = self.stop or Stop("batch", what, _HOW_ON)

    def _unknown(self, batch: Batch) -> None:
        """A replayed batch ends with its server. A paid one that is not found was made with
        another key, and must not be made again."""
        if self._oracle.spec.paid:
            raise UserError(
                f"batch {batch.batch_id} is not known at oracle {self._oracle.spec.name!r}",
                hint="use the key of the account that made it, or give it up with --cancel-batches",
            )
        self._collector.never_ran(batch.key, "the server that held it has ended")

    async def _cancel(self, batch: Batch) -> None:
        batch_id = batch.batch_id
        if batch_id is None and batch.input_file_id is not None:
            found = await self._sender.find(batch)
            batch_id = found.id if found else None
        if batch_id is None:
            self._collector.never_ran(batch.key, "cancelled before it was sent")
            return
        note_batch(self._job.ledger, batch.key, "created", batch_id=batch_id)
        try:
            remote = await self._sender.cancel(batch_id)
        except OracleFailure as failure:
            if failure.kind != "not_found":
                raise
            self._collector.lost(batch.key)
            return
        self._say(f"{remote.id}: {remote.status}")
