"""Collects what a batch has brought: each line settles its attempt, and the question if it can.

Also a batch that expired, was cancelled or failed has answers; they are paid for and kept. What an
answer leads to is decided as for a call: one that fails its check is repaired by the run that
follows, which asks synchronously. Collecting twice, after a crash, settles nothing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from distillery_core.oracle.client import OracleFailure, OracleReply
from distillery_core.oracle.ledger import Ending, Past
from distillery_core.oracle.ledger_batches import note_batch, settle_rest, unsettled
from distillery_core.oracle.ledger_job import Job
from distillery_core.oracle.prices import cost_nano
from distillery_core.oracle.provider_batch import BatchOracle, RemoteBatch
from distillery_core.oracle.provider_batch_send import Patience, persist
from distillery_core.oracle.spec import Price
from distillery_core.oracle.steps import Check, decide


@dataclass(slots=True)
class Collected:
    """What came of the requests: `answered` arrived, of which `done` passed the check; `failed`
    brought an error, `expired` and `not_run` never had their turn. `given_up` are the questions
    that ended without an answer. Money is in nano-dollars, at the batch price."""

    counts: Counter[str] = field(default_factory=Counter)
    given_up: set[str] = field(default_factory=set)
    unreadable: int = 0
    cost_nano: int = 0


class Collector:
    """Settles batches of one filter.

    Args:
        price: what a request in a batch costs.
        max_attempts, max_overloads: as in `AskSettings`.
        on_reply: told of every answer, when it is in the ledger.
    """

    def __init__(
        self,
        remote: BatchOracle,
        job: Job,
        price: Price,
        check: Check,
        *,
        folder: Path,
        patience: Patience,
        max_attempts: int,
        max_overloads: int,
        on_reply: Callable[[OracleReply], None],
    ) -> None:
        self.collected = Collected()
        self._remote, self._job, self._price, self._check = remote, job, price, check
        self._folder, self._patience = folder, patience
        self._limits = (max_attempts, max_overloads)
        self._on_reply = on_reply

    async def collect(self, key: str, batch: RemoteBatch) -> None:
        """Fetch and settle a batch that has ended.

        Raises:
            OracleFailure: a result file cannot be fetched; what was settled stays settled.
        """
        waiting = unsettled(self._job.ledger, key)
        files = [file for file in (batch.output_file_id, batch.error_file_id) if file and waiting]
        for position, file_id in enumerate(files):
            path = self._folder / f"{key}.result-{position}.jsonl"
            await persist(partial(self._remote.download, file_id, path), self._patience)
            for line in _lines(path):
                self._settle(waiting, line)
        self._settle_rest(key, batch)
        reason = batch.error_message or None
        note_batch(self._job.ledger, key, "ended", status=batch.status, reason=reason)
        for path in self._folder.glob(f"{key}.*"):
            path.unlink(missing_ok=True)

    def never_ran(self, key: str, reason: str) -> None:
        """Settle a batch that the provider never made."""
        failure = OracleFailure("not_run", reason)
        self.collected.counts["not_run"] += settle_rest(self._job, key, failure)
        note_batch(self._job.ledger, key, "ended", status="failed", reason=reason)

    def lost(self, key: str) -> None:
        """Settle a batch that the provider does not know any more; it may have been charged."""
        self.collected.counts["lost"] += settle_rest(self._job, key, None)
        reason = "the provider does not know it any more"
        note_batch(self._job.ledger, key, "ended", status="lost", reason=reason)

    def _settle(self, waiting: dict[str, int], line: str) -> None:
        try:
            read = self._remote.read(line)
        except ValueError:
            self.collected.unreadable += 1
            return
        attempt = waiting.pop(read.custom_id, None)
        if attempt is None:
            return  # settled before a crash, or a line that nobody asked for
        if isinstance(read.result, OracleReply):
            self._answered(attempt, read.custom_id, read.result)
        else:
            self._failed(attempt, read.custom_id, read.result)

    def _answered(self, attempt: int, key: str, reply: OracleReply) -> None:
        cost = None if reply.usage is None else cost_nano(self._price, reply.usage)
        ending = self._ending(key, Past("answered", "ask", reply.text, reply.finish_reason))
        self._job.answered(attempt, reply, cost, ending)
        self.collected.cost_nano += cost or 0
        self.collected.counts["answered"] += 1
        self._on_reply(reply)
        if ending is not None:
            self._count_ending(key, ending)

    def _failed(self, attempt: int, key: str, failure: OracleFailure) -> None:
        past = Past("failed", "ask", None, None, failure.kind, failure.message)
        ending = self._ending(key, past)
        self._job.failed(attempt, failure, ending)
        kind = failure.kind if failure.kind in ("expired", "not_run") else "failed"
        self.collected.counts[kind] += 1
        if ending is not None:
            self._count_ending(key, ending)

    def _count_ending(self, key: str, ending: Ending) -> None:
        if ending.state == "done":
            self.collected.counts["done"] += 1
        else:
            self.collected.given_up.add(key)

    def _ending(self, key: str, last: Past) -> Ending | None:
        """How the question ends with this attempt, if it does."""
        ledger = self._job.ledger
        item = ledger.item(key)
        past = ledger.history(key)[item.forgiven_to if item else 0 :]
        settled = [one for one in past if one.state != "in_flight"]
        following = decide([*settled, last], self._check, *self._limits)
        return following if isinstance(following, Ending) else None

    def _settle_rest(self, key: str, batch: RemoteBatch) -> None:
        """Settle what no line named. In a batch that was completed each request was run, so that
        one without a result may have been charged."""
        if batch.status == "completed":
            self.collected.counts["lost"] += settle_rest(self._job, key, None)
            return
        message = batch.error_message or f"the batch ended as {batch.status}"
        failure = OracleFailure("expired" if batch.status == "expired" else "not_run", message)
        self.collected.counts[failure.kind] += settle_rest(self._job, key, failure)


def _lines(path: Path) -> Iterator[str]:
    """The lines of a result file, split at LF only."""
    with path.open(encoding="utf-8", errors="replace", newline="\n") as handle:
        for line in handle:
            if line.strip():
                yield line
