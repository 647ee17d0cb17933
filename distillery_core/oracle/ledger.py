"""The ledger file: every call to an oracle is written down before it is made and after it returned.

This module opens and reads it; `ledger_job` writes it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from distillery_core.errors import UserError
from distillery_core.files import sha256_json
from distillery_core.oracle.ledger_schema import MIGRATIONS, VERSION
from distillery_core.oracle.prices import to_dollars

ItemState = Literal["open", "done", "rejected", "failed", "skipped"]
StepName = Literal["ask", "longer", "repair"]

_CHECKPOINT_PAGES = 10_000
_BUSY_TIMEOUT_S = 30
_SYNC_EVERY_S = 1.0
_TERMINAL = ("done", "rejected", "failed")


class BudgetExceeded(Exception):
    """The reservation does not fit. `in_flight` says whether waiting could help."""

    def __init__(self, counted_nano: int, needed_nano: int, in_flight: bool) -> None:
        super().__init__(f"{to_dollars(counted_nano):.6f} counted")
        self.counted_nano = counted_nano
        self.needed_nano = needed_nano
        self.in_flight = in_flight


@dataclass(frozen=True)
class ItemKey:
    """What makes a question the same question: its text, prompt, model and parameters.

    `occasion` tells a question that is asked again on purpose ("repeat 2", "canary 5") from its
    first asking, which has none.
    """

    article_sha256: str
    prompt_sha256: str
    model: str
    parameters_sha256: str
    occasion: str = ""

    @cached_property
    def digest(self) -> str:
        """The key in the ledger."""
        parts = [self.article_sha256, self.prompt_sha256, self.model, self.parameters_sha256]
        return sha256_json([*parts, self.occasion] if self.occasion else parts)


@dataclass(frozen=True, slots=True)
class Item:
    """How a question stands. `answer` is the checked answer of a `done` one."""

    key: str
    state: ItemState
    answer: dict[str, Any] | None
    reason: str | None
    attempts: int
    cost_usd: float
    updated_at: str
    article_id: str
    forgiven_to: int

    @property
    def terminal(self) -> bool:
        """Whether it is not asked again (a skipped one is, once the pre-filter lets it through)."""
        return self.state in _TERMINAL


@dataclass(frozen=True, slots=True)
class Past:
    """One earlier attempt, as far as it decides what to do next."""

    state: str
    step: StepName
    raw_answer: str | None = None
    finish_reason: str | None = None
    failure_kind: str | None = None
    failure_message: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """A terminal state to be written together with the attempt that caused it."""

    state: ItemState
    answer: Mapping[str, Any] | None = None
    reason: str | None = None


class Ledger:
    """A ledger file. Reading needs nothing else; writing goes through `ledger_job.open_job`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self._synced_at = float("-inf")
        self._waits_for_disk: bool | None = None
        self._in_group = False
        self._group_lost: BaseException | None = None

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """Open or create the ledger.

        Raises:
            UserError: the file is not a ledger, was written by a newer version, or the folder is
                read-only.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            ledger = cls(path, _connect(path))
        except (OSError, sqlite3.Error) as error:
            what = f"the ledger cannot be opened: {getattr(error, 'strerror', None) or error}"
            hint = "make its folder writable; a damaged file is moved away or restored, not mended"
            raise UserError(what, where=path, hint=hint) from None
        return ledger

    def close(self) -> None:
        """Close the file; everything in it is already durable."""
        self.connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self, *, sync: bool = False) -> Iterator[sqlite3.Connection]:
        """One change, whole or not at all.

        A committed change survives the death of the process at once, and a power cut within a
        second: one commit a second (and each with `sync`) waits for the disk, and takes all
        earlier ones with it. Waiting each time would cost more than the call it records.

        Raises:
            UserError: the disk is full, or another error of the file.
        """
        if sync and self._in_group:
            self.commit_group()
        alone = not self._in_group
        with self._whole_or_not_at_all():
            if alone:
                self._begin(sync)
            yield self.connection
            if alone:
                self.connection.execute("COMMIT")

    def begin_group(self) -> None:
        """Begin a transaction that all changes join until `commit_group`."""
        with self._whole_or_not_at_all():
            self._begin(sync=False)
        self._in_group, self._group_lost = True, None

    def commit_group(self) -> None:
        """Commit the changes of a group. Without one, there is nothing to do.

        Raises:
            UserError: the ledger cannot be written. The same where a change of the group had
                failed before, which took all others with it.
        """
        lost, self._group_lost = self._group_lost, None
        if lost is not None:
            raise lost
        if self._in_group:
            self._in_group = False
            with self._whole_or_not_at_all():
                self.connection.execute("COMMIT")

    @contextmanager
    def _whole_or_not_at_all(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                error = self._cannot_be_written(error)
            if self._in_group:
                self._in_group, self._group_lost = False, error
            raise error from None

    def _cannot_be_written(self, error: sqlite3.Error) -> UserError:
        hint = "what was written stays; free space or access, then run the same command again"
        return UserError(f"the ledger cannot be written: {error}", self.path, hint)

    def _begin(self, sync: bool) -> None:
        now = time.monotonic()
        sync = sync or now - self._synced_at >= _SYNC_EVERY_S
        if sync != self._waits_for_disk:
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
            self._waits_for_disk = sync
        if sync:
            self._synced_at = now
        self.connection.execute("BEGIN IMMEDIATE")

    def item(self, key: str) -> Item | None:
        """How a question stands, or None when it was never asked."""
        row = self.connection.execute("SELECT * FROM items WHERE key = ?", (key,)).fetchone()
        return None if row is None else _item(row)

    def history(self, key: str) -> list[Past]:
        """All attempts at a question, oldest first."""
        rows = self.connection.execute(
            "SELECT state, step, raw_answer, finish_reason, failure_kind, failure_message"
            " FROM attempts WHERE item_key = ? ORDER BY id",
            (key,),
        )
        return [Past(*row) for row in rows]


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # Answers are durable in the WAL file; copying them into the ledger holds up the calls, so
        # it is done every 40 MB and when the ledger is closed, not every 4 MB.
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        _migrate(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(path: Path, connection: sqlite3.Connection) -> None:
    if _version(connection) > VERSION:
        raise UserError("the ledger was written by a newer distillery", where=path)
    if _version(connection) < VERSION:
        connection.execute("BEGIN IMMEDIATE")  # another process may be creating it too
        for version in range(_version(connection) + 1, VERSION + 1):
            for statement in MIGRATIONS[version].split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _item(row: sqlite3.Row) -> Item:
    return Item(
        key=row["key"],
        state=row["state"],
        answer=None if row["answer"] is None else json.loads(row["answer"]),
        reason=row["reason"],
        attempts=row["attempts"],
        cost_usd=to_dollars(row["cost_nano"]),
        updated_at=row["updated_at"],
        article_id=row["article_id"],
        forgiven_to=row["forgiven_to"],
    )
