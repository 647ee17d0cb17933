"""One writer a filter: a lock that the operating system drops when its holder dies.

The lock is an exclusive transaction on an otherwise empty SQLite file, which works wherever the
ledger itself works, and needs no cleaning up after a crash.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Locked(Exception):
    """Somebody else holds the lock."""


@contextmanager
def writer_lock(path: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock at `path` for the block.

    Raises:
        Locked: it is held, by this process or another, and still is after `wait_s` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=wait_s, isolation_level=None)
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise Locked(str(path)) from None
            raise
        yield
    finally:
        connection.close()
