"""Writing to the ledger: the one writer for a filter, and what it may write.

A call that is about to be made reserves its worst case first; what is known afterwards replaces the
reservation. A call whose fate is unknown (the process died, the reply was cut) keeps its
reservation as `held`: it may have been charged, so it counts against every later budget.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from distillery_core.errors import UserError
from distillery_core.files import now_utc
from distillery_core.oracle.client import OracleFailure, OracleReply
from distillery_core.oracle.ledger import (
    BudgetExceeded,
    Ending,
    ItemKey,
    ItemState,
    Ledger,
    StepName,
)
from distillery_core.oracle.writer_lock import Locked, writer_lock


@dataclass(slots=True)
class Job:
    """The one writer for a filter while its lock is held."""

    ledger: Ledger
    run_id: int
    filter: str
    oracle: str
    purpose: str
    paid: bool
    interrupted: int
    ended: str | None = None

    def begin(
        self,
        key: ItemKey,
        article_id: str,
        step: StepName,
        answer_format: str,
        reserved_nano: int,
        budget_nano: int | None,
    ) -> int:
        """Write an attempt down before it is made; returns its number.

        Raises:
            BudgetExceeded: everything counted for this filter plus the reservation is more than
                the budget; nothing was written.
        """
        # Before the transaction, which may be a group's: nobody else writes this filter's money.
        self._check_budget(self.ledger.connection, reserved_nano, budget_nano)
        with self.ledger.transaction() as connection:
            return self.begin_inside(
                connection, key, article_id, step, answer_format, reserved_nano, None
            )

    def begin_inside(
        self,
        connection: sqlite3.Connection,
        key: ItemKey,
        article_id: str,
        step: StepName,
        answer_format: str,
        reserved_nano: int,
        budget_nano: int | None,
    ) -> int:
        """As `begin`, as a part of the caller's transaction."""
        self._check_budget(connection, reserved_nano, budget_nano)
        self._ensure_item(connection, key, article_id, "open", None)
        _add_to_totals(connection, self.filter, self.paid, held=reserved_nano)
        return int(
            connection.execute(
                "INSERT INTO attempts (item_key, run_id, filter, paid, step, state,"
                " answer_format, started_at, reserved_nano, held_nano)"
                " VALUES (?,?,?,?,?,'in_flight',?,?,?,?)",
                (
                    *(key.digest, self.run_id, self.filter, self.paid, step),
                    *(answer_format, now_utc(), reserved_nano, reserved_nano),
                ),
            ).lastrowid
            or 0
        )

    def answered(
        self, attempt: int, reply: OracleReply, cost_nano: int | None, ending: Ending | None
    ) -> None:
        """Settle an attempt with its reply, and the question with it if this ends it.

        Args:
            cost_nano: None where the server did not count tokens; the reservation stays held.
        """
        usage = reply.usage
        tokens = (
            (usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens)
            if usage
            else (None,) * 4
        )
        columns = (
            *(*tokens, reply.finish_reason, reply.latency_s, reply.model),
            *(reply.fingerprint, reply.text, None, None, None),
        )
        with self.ledger.transaction() as connection:
            cost, hold = cost_nano or 0, cost_nano is None
            self._settle(connection, attempt, "answered", cost, hold, columns, ending)

    def failed(self, attempt: int, failure: OracleFailure, ending: Ending | None) -> None:
        """Settle an attempt that brought no answer."""
        columns = (*(None,) * 9, failure.kind, failure.status, failure.message)
        with self.ledger.transaction() as connection:
            self._settle(connection, attempt, "failed", 0, failure.maybe_charged, columns, ending)

    def interrupt(self, attempt: int) -> None:
        """Settle an attempt that was abandoned (Ctrl-C); it may have been charged."""
        with self.ledger.transaction() as connection:
            self._settle(connection, attempt, "interrupted", 0, True, (None,) * 12, None)

    def end(self, key: str, ending: Ending) -> None:
        """Write a terminal state that earlier attempts decided already."""
        with self.ledger.transaction() as connection:
            _end_item(connection, key, ending)

    def skip(self, key: ItemKey, article_id: str, reason: str) -> None:
        """Note that a question was not asked; an answer that exists stays."""
        with self.ledger.transaction() as connection:
            self._ensure_item(connection, key, article_id, "skipped", reason)
            connection.execute(
                "UPDATE items SET reason = ?, updated_at = ? WHERE key = ? AND state = 'skipped'",
                (reason, now_utc(), key.digest),
            )

    def forgive(self, key: str) -> None:
        """Give a rejected or failed question a fresh start; its attempts stay on record."""
        with self.ledger.transaction() as connection:
            connection.execute(
                "UPDATE items SET state = 'open', reason = NULL, forgiven_to ="
                " (SELECT count(*) FROM attempts WHERE item_key = key) WHERE key = ?"
                " AND state IN ('rejected', 'failed')",
                (key,),
            )

    def _check_budget(
        self, connection: sqlite3.Connection, needed: int, budget: int | None
    ) -> None:
        if budget is None:
            return
        row = connection.execute(
            "SELECT cost_nano + held_nano FROM totals WHERE filter = ? AND paid = ?",
            (self.filter, self.paid),
        ).fetchone()
        counted = int(row[0]) if row else 0
        if counted + needed > budget:
            waiting = connection.execute(
                "SELECT 1 FROM attempts WHERE filter = ? AND state = 'in_flight'"
                " AND id NOT IN (SELECT attempt_id FROM batch_requests)",
                (self.filter,),
            ).fetchone()
            raise BudgetExceeded(counted, needed, waiting is not None)

    def _ensure_item(
        self,
        connection: sqlite3.Connection,
        key: ItemKey,
        article_id: str,
        state: ItemState,
        reason: str | None,
    ) -> None:
        now = now_utc()
        # A skipped question that is asked after all is open again; any other state stays.
        connection.execute(
            "INSERT INTO items (key, filter, purpose, oracle, article_id, article_sha256,"
            " prompt_sha256, model, parameters_sha256, occasion, state, reason, created_at,"
            " updated_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (key) DO UPDATE"
            " SET state = 'open', reason = NULL"
            " WHERE state = 'skipped' AND excluded.state = 'open'",
            (
                *(key.digest, self.filter, self.purpose, self.oracle, article_id),
                *(key.article_sha256, key.prompt_sha256, key.model, key.parameters_sha256),
                *(key.occasion, state, reason, now, now),
            ),
        )

    def _settle(
        self,
        connection: sqlite3.Connection,
        attempt: int,
        state: str,
        cost: int,
        hold: bool,
        columns: tuple[object, ...],
        ending: Ending | None,
    ) -> None:
        """Write how an attempt ended, and its question with it. `columns` as in `_SETTLE`."""
        row = connection.execute(
            "SELECT held_nano, state, item_key FROM attempts WHERE id = ?", (attempt,)
        ).fetchone()
        if row["state"] != "in_flight":
            raise ValueError(f"attempt {attempt} is already {row['state']}")
        held = row["held_nano"] if hold else 0
        connection.execute(_SETTLE, (state, now_utc(), cost, held, *columns, attempt))
        change = held - row["held_nano"]
        _add_to_totals(connection, self.filter, self.paid, cost=cost, held=change)
        if ending is not None:
            _end_item(connection, row["item_key"], ending)


_SETTLE = (
    "UPDATE attempts SET state = ?, finished_at = ?, cost_nano = ?, held_nano = ?,"
    " input_tokens = ?, cached_tokens = ?, output_tokens = ?, reasoning_tokens = ?,"
    " finish_reason = ?, latency_s = ?, model = ?, fingerprint = ?, raw_answer = ?,"
    " failure_kind = ?, failure_status = ?, failure_message = ? WHERE id = ?"
)


@contextmanager
def open_job(
    ledger: Ledger, filter: str, *, oracle: str, purpose: str, paid: bool
) -> Iterator[Job]:
    """Be the one writer for a filter (`crisis:v1`) for the block.

    Attempts that a dead process left in flight are marked interrupted; they stay held.

    Raises:
        UserError: another process is asking for this filter.
    """
    name = "".join(c if c.isalnum() else "_" for c in filter)
    try:
        with writer_lock(ledger.path.parent / "locks" / f"{name}.lock"):
            yield from _locked(ledger, filter, oracle, purpose, paid)
    except Locked:
        raise UserError(
            f"another run is asking for {filter}{_who(ledger, filter)}",
            where=ledger.path,
            hint="wait for it to end; two writers would pay for the same answers twice",
        ) from None


def _locked(ledger: Ledger, filter: str, oracle: str, purpose: str, paid: bool) -> Iterator[Job]:
    with ledger.transaction() as connection:
        interrupted = _interrupt(connection, filter)
        run_id = connection.execute(
            "INSERT INTO runs (filter, oracle, purpose, pid, started_at) VALUES (?,?,?,?,?)",
            (filter, oracle, purpose, os.getpid(), now_utc()),
        ).lastrowid
    job = Job(ledger, int(run_id or 0), filter, oracle, purpose, paid, interrupted)
    try:
        yield job
    finally:
        ledger.commit_group()
        with ledger.transaction(sync=True) as connection:
            _interrupt(connection, filter)
            connection.execute(
                "UPDATE runs SET finished_at = ?, ended = ? WHERE id = ?",
                (now_utc(), job.ended, job.run_id),
            )


def _who(ledger: Ledger, filter: str) -> str:
    row = ledger.connection.execute(
        "SELECT pid, started_at FROM runs WHERE filter = ? AND finished_at IS NULL"
        " ORDER BY id DESC LIMIT 1",
        (filter,),
    ).fetchone()
    return "" if row is None else f" (process {row['pid']}, since {row['started_at']})"


def _interrupt(connection: sqlite3.Connection, filter: str) -> int:
    """Mark what is in flight as interrupted; held money stays held. Returns how many.

    A request that lies in a provider's batch is left alone: it outlives the process that sent it.
    """
    return connection.execute(
        "UPDATE attempts SET state = 'interrupted', finished_at = ?"
        " WHERE filter = ? AND state = 'in_flight'"
        " AND id NOT IN (SELECT attempt_id FROM batch_requests)",
        (now_utc(), filter),
    ).rowcount


def _end_item(connection: sqlite3.Connection, key: str, ending: Ending) -> None:
    answer = None if ending.answer is None else json.dumps(ending.answer, ensure_ascii=False)
    connection.execute(
        "UPDATE items SET state = ?, answer = ?, reason = ?, updated_at = ?,"
        " (attempts, cost_nano) = (SELECT count(*) FILTER (WHERE state != 'interrupted'),"
        " coalesce(sum(cost_nano), 0) FROM attempts WHERE item_key = ?) WHERE key = ?",
        (ending.state, answer, ending.reason, now_utc(), key, key),
    )


def _add_to_totals(
    connection: sqlite3.Connection, filter: str, paid: bool, *, cost: int = 0, held: int = 0
) -> None:
    connection.execute(
        "INSERT INTO totals (filter, paid, cost_nano, held_nano) VALUES (?,?,?,?)"
        " ON CONFLICT (filter, paid) DO UPDATE SET cost_nano = cost_nano + excluded.cost_nano,"
        " held_nano = held_nano + excluded.held_nano",
        (filter, paid, cost, held),
    )
