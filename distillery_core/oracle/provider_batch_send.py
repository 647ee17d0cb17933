"""Sends a batch that the ledger knows, from whatever step it had reached, and follows it.

The one step that costs money is the creation. It is made only after the provider's listing was
searched for the batch's own key, so that a batch whose creation was never heard of again (the
process died, the reply was lost) is taken up and not made a second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from distillery_core.oracle.client import OracleFailure
from distillery_core.oracle.flow import delay_s
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_batches import Batch, note_batch
from distillery_core.oracle.provider_batch import KEY_NAME, BatchOracle, RemoteBatch

Result = TypeVar("Result")

_WORTH_ANOTHER_TRY = ("overload", "transient", "down")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to keep at it.

    Args:
        tries: calls of one kind in a row before giving up.
        backoff_s, backoff_cap_s: first and longest wait after a failure, seconds.
        listing_s: how long a fresh batch may take to appear in the provider's listing, seconds.
        poll_s, poll_cap_s: first and longest time between two looks at a batch, seconds.
    """

    tries: int = 12
    backoff_s: float = 1.0
    backoff_cap_s: float = 60.0
    listing_s: float = 10.0
    poll_s: float = 2.0
    poll_cap_s: float = 60.0


async def persist(call: Callable[[], Awaitable[Result]], patience: Patience) -> Result:
    """Make a call that may be made twice without harm, until it succeeds or patience ends.

    Raises:
        OracleFailure: the last one, or at once one that another try cannot mend.
    """
    for failures in range(1, patience.tries + 1):
        try:
            return await call()
        except OracleFailure as failure:
            if failure.kind not in _WORTH_ANOTHER_TRY or failures == patience.tries:
                raise
            await asyncio.sleep(_wait_s(failures, failure, patience))
    raise AssertionError("patience.tries is at least 1")


class Sender:
    """Brings batches of one filter to the provider. `folder` holds their input files.

    Raises:
        OracleFailure: from every method; the ledger knows how far the batch got.
    """

    def __init__(
        self, remote: BatchOracle, ledger: Ledger, folder: Path, patience: Patience
    ) -> None:
        self._remote, self._ledger = remote, ledger
        self._folder, self._patience = folder, patience

    def input_path(self, key: str) -> Path:
        """Where a batch's file of requests lies until the provider has it."""
        return self._folder / f"{key}.jsonl"

    async def send(self, batch: Batch, *, resumed: bool) -> RemoteBatch | None:
        """Upload and create a batch; None where its file was lost before it was uploaded.

        Args:
            resumed: an earlier process may have created it already.
        """
        path, key = self.input_path(batch.key), batch.key
        file_id = batch.input_file_id
        if file_id is None:
            if not path.is_file():
                return None
            file_id = await persist(lambda: self._remote.upload(path), self._patience)
            note_batch(self._ledger, key, "uploaded", input_file_id=file_id)
        elif resumed and not await self.find(batch):
            await asyncio.sleep(self._patience.listing_s)
        created = await self._create(batch, file_id)
        note_batch(self._ledger, key, "created", batch_id=created.id, status=created.status)
        path.unlink(missing_ok=True)
        return created

    async def find(self, batch: Batch) -> RemoteBatch | None:
        """The batch at the provider, by its key. Of several the oldest; the others are cancelled,
        since each of them is paid for."""
        since = datetime.fromisoformat(batch.created_at).timestamp()
        found = await persist(lambda: self._remote.find(batch.key, since), self._patience)
        for double in found[1:]:
            if not double.ended:
                await self._remote.cancel(double.id)
        return found[0] if found else None

    async def _create(self, batch: Batch, file_id: str) -> RemoteBatch:
        """Create the batch once: after a failure that leaves open whether it was made, look."""
        metadata = {KEY_NAME: batch.key, "filter": batch.filter, "requests": str(batch.requests)}
        for failures in range(1, self._patience.tries + 1):
            found = await self.find(batch)
            if found is not None:
                return found
            try:
                return await self._remote.create(file_id, metadata)
            except OracleFailure as failure:
                if failure.kind not in _WORTH_ANOTHER_TRY or failures == self._patience.tries:
                    raise
                await asyncio.sleep(_wait_s(failures, failure, self._patience))
                if failure.kind == "transient":  # it may have been made, and appear in a while
                    await asyncio.sleep(self._patience.listing_s)
        raise AssertionError("patience.tries is at least 1")

    async def look(self, batch_id: str) -> RemoteBatch:
        """How a created batch stands."""
        return await persist(lambda: self._remote.retrieve(batch_id), self._patience)

    async def cancel(self, batch_id: str) -> RemoteBatch:
        """Ask to end a created batch; one that has ended already stays as it is."""
        remote = await self.look(batch_id)
        if remote.ended or remote.status == "cancelling":
            return remote
        return await persist(lambda: self._remote.cancel(batch_id), self._patience)


def _wait_s(failures: int, failure: OracleFailure, patience: Patience) -> float:
    wanted = failure.retry_after_s
    return delay_s(failures, patience.backoff_s, patience.backoff_cap_s, wanted)
