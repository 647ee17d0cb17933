"""Rows that could not be used: each is kept beside the output with its line number and reason."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from distillery_core.errors import CheckFailed
from distillery_core.files import atomic_write

MAX_BAD = 0.01
"""Share of rows that may be unusable before a run counts as failed (`--max-bad`)."""

RAW_CHARS = 500
"""How much of a rejected row is kept: enough to find it, not enough to copy a corpus."""


class Kind(StrEnum):
    """What was wrong with a row, for counting; the reason says it in words."""

    BAD_UTF8 = "bad_utf8"
    BAD_JSON = "bad_json"
    TOO_LONG = "too_long"
    BAD_ID = "bad_id"
    DUPLICATE_ID = "duplicate_id"
    EMPTY_CONTENT = "empty_content"
    BAD_FIELD = "bad_field"
    NO_ANALYSIS = "no_analysis"
    MISSING_DIMENSION = "missing_dimension"
    UNKNOWN_DIMENSION = "unknown_dimension"
    OUT_OF_RANGE = "out_of_range"
    NOT_FINITE = "not_finite"
    NOT_A_NUMBER = "not_a_number"


class Rejects:
    """Counts the rows of a run and writes the unusable ones to `<output>.rejected.jsonl`.

    Use as a context manager around the run. The file appears when the block ends well, or when
    `check` is called; a run that ends in an exception leaves the file of the run before. A run
    without a bad row removes it.

    Args:
        output: the file (or folder) that the good rows go to.
        max_bad: highest share of rejected rows, 0-1, that `check` accepts.
    """

    def __init__(self, output: Path, max_bad: float = MAX_BAD) -> None:
        self.path = output.with_name(f"{output.name}.rejected.jsonl")
        self.max_bad = max_bad
        self.read = 0
        self.counts: Counter[str] = Counter()
        self._stack = ExitStack()
        self._file: IO[str] | None = None
        self._closed = False

    @property
    def rejected(self) -> int:
        """Number of rejected rows."""
        return self.counts.total()

    @property
    def rate(self) -> float:
        """Share of rejected rows among all rows read, 0-1."""
        return self.rejected / max(self.read, self.rejected, 1)

    def saw(self, rows: int = 1) -> None:
        """Count rows as read, good or bad."""
        self.read += rows

    def add(
        self, line: int, reason: str, *, kind: str = "other", id: str | None = None, raw: str = ""
    ) -> None:
        """Set one row aside.

        Args:
            line: 1-based line number in the input, 0 where there is none.
            kind: a short name to count by; readers use those of `Kind`.
            raw: the row's text; its first 500 characters are kept.
        """
        row: dict[str, Any] = {"line": line, "reason": reason, "kind": str(kind)}
        if id is not None:
            row["id"] = id
        if raw:
            row["raw"] = raw[:RAW_CHARS]
        self._handle().write(json.dumps(row, ensure_ascii=True) + "\n")
        self.counts[str(kind)] += 1

    def summary(self) -> str:
        """The counts in words, most frequent first: `3 bad_json, 1 duplicate_id`."""
        return ", ".join(f"{count} {kind}" for kind, count in self.counts.most_common())

    def check(self) -> None:
        """Write the file and compare the share of bad rows with the limit.

        Raises:
            CheckFailed: more than `max_bad` of the rows were rejected.
        """
        self.close()
        if self.rate > self.max_bad:
            raise CheckFailed(
                f"{self.rejected} of {self.read} rows were rejected "
                f"({self.rate:.1%}, at most {self.max_bad:.1%} may be); the others are written",
                reasons=[f"{count} x {kind}" for kind, count in self.counts.most_common()],
                hint=f"look into {self.path}, mend the input, or raise --max-bad",
            )

    def close(self) -> None:
        """Let the file appear, or remove an old one if no row was rejected."""
        if self._closed:
            return
        self._closed = True
        if self._file is None:
            self.path.unlink(missing_ok=True)
        self._stack.close()

    def _handle(self) -> IO[str]:
        if self._closed:
            raise ValueError("rows cannot be rejected after the file was closed")
        if self._file is None:
            self._file = self._stack.enter_context(atomic_write(self.path))
        return self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif not self._closed:
            self._closed = True
            self._stack.__exit__(kind, error, trace)
