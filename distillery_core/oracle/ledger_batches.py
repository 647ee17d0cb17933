"""Provider batches in the ledger: written before anything is sent, found again after a crash.

A batch and all its attempts, each with its worst case reserved, are written in one transaction.
From then on `state` says how far it got, so that a process that finds it knows the next step:

written    upload its file, which costs nothing    created    ask how it stands, then collect
uploaded   look for it by its key, else create it  ended      every attempt in it is settled
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from distillery_core.files import now_utc
from distillery_core.oracle.client import OracleFailure
from distillery_core.oracle.ledger import ItemKey, Ledger
from distillery_core.oracle.ledger_job import Job

BatchState = Literal["written", "uploaded", "created", "ended"]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the ledger knows it; `status` is the provider's word."""

    key: str
    filter: str
    oracle: str
    identity: str
    requests: int
    state: BatchState
    input_file_id: str | None
    batch_id: str | None
    status: str | None
    reason: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """One request of a batch to be written: its question, and the most it can cost."""

    key: ItemKey
    article_id: str
    answer_format: str
    reserved_nano: int


def write_batch(
    job: Job, key: str, identity: str, reservations: Sequence[Reservation], budget_nano: int | None
) -> None:
    """Write a batch and its attempts down, before anything of it is sent.

    Raises:
        BudgetExceeded: its worst case does not fit; nothing was written.
    """
    now = now_utc()
    with job.ledger.transaction(sync=True) as connection:
        connection.execute(
            "INSERT INTO batches (key, filter, run_id, oracle, identity, requests, state,"
            " created_at, updated_at) VALUES (?,?,?,?,?,?,'written',?,?)",
            (key, job.filter, job.run_id, job.oracle, identity, len(reservations), now, now),
        )
        for one in reservations:
            attempt = job.begin_inside(
                *(connection, one.key, one.article_id, "ask"),
                *(one.answer_format, one.reserved_nano, budget_nano),
            )
            connection.execute("INSERT INTO batch_requests VALUES (?,?)", (attempt, key))


def note_batch(
    ledger: Ledger,
    key: str,
    state: BatchState,
    *,
    input_file_id: str | None = None,
    batch_id: str | None = None,
    status: str | None = None,
    reason: str | None = None,
) -> None:
    """Write down how far a batch got; what is not given stays as it was."""
    with ledger.transaction(sync=True) as connection:
        connection.execute(
            "UPDATE batches SET state = ?, input_file_id = coalesce(?, input_file_id),"
            " batch_id = coalesce(?, batch_id), status = coalesce(?, status),"
            " reason = coalesce(?, reason), updated_at = ? WHERE key = ?",
            (state, input_file_id, batch_id, status, reason, now_utc(), key),
        )


def batches_under_way(ledger: Ledger, filter: str | None = None) -> list[Batch]:
    """The batches of a filter (default: of all) that have not ended, oldest first."""
    rows = ledger.connection.execute(
        "SELECT key, filter, oracle, identity, requests, state, input_file_id, batch_id, status,"
        " reason, created_at FROM batches WHERE state != 'ended' AND (?1 IS NULL OR filter = ?1)"
        " ORDER BY created_at, key",
        (filter,),
    )
    return [Batch(*row) for row in rows]


def unsettled(ledger: Ledger, key: str) -> dict[str, int]:
    """The attempts of a batch that nothing is known of yet, by their question's key."""
    rows = ledger.connection.execute(
        "SELECT a.item_key, a.id FROM batch_requests b JOIN attempts a ON a.id = b.attempt_id"
        " WHERE b.batch_key = ? AND a.state = 'in_flight'",
        (key,),
    )
    return {row[0]: row[1] for row in rows}


def waits_in_batch(ledger: Ledger, item_key: str) -> bool:
    """Whether a question stands in a batch that has not been collected."""
    row = ledger.connection.execute(
        "SELECT 1 FROM attempts a JOIN batch_requests b ON b.attempt_id = a.id"
        " WHERE a.item_key = ? AND a.state = 'in_flight'",
        (item_key,),
    ).fetchone()
    return row is not None


def counted_nano(job: Job) -> int:
    """What already counts against the budget of the job's filter, in nano-dollars."""
    row = job.ledger.connection.execute(
        "SELECT cost_nano + held_nano FROM totals WHERE filter = ? AND paid = ?",
        (job.filter, job.paid),
    ).fetchone()
    return int(row[0]) if row else 0


def settle_rest(job: Job, key: str, failure: OracleFailure | None) -> int:
    """Settle what no result named: as this failure, or, where it may have been charged after all,
    as interrupted (its reservation stays held). Returns how many."""
    attempts = unsettled(job.ledger, key).values()
    for attempt in attempts:
        if failure is None:
            job.interrupt(attempt)
        else:
            job.failed(attempt, failure, None)
    return len(attempts)
