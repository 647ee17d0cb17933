"""Where a labelling run writes: labelled, rejected and skipped rows, whole or not at all."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from distillery_core.dataset.rejects import Rejects
from distillery_core.errors import UserError
from distillery_core.files import atomic_write
from distillery_core.filters.filter import Filter
from distillery_core.labelling.run import Label, Setback
from distillery_core.types import Article


def labelled_row(filter: Filter, article: Article, label: Label) -> dict[str, Any]:
    """An article's row with its label under `<filter>_analysis`."""
    analysis = {
        "dimensions": label.scores,
        "reasoning": label.reasoning,
        "provenance": label.provenance,
    }
    return article.row() | {filter.analysis_key: analysis}


def check_writable(output: Path) -> None:
    """Refuse an output that cannot be written before anything is asked.

    Raises:
        UserError: a folder, or a place without write access.
    """
    if output.is_dir():
        hint = f"name a file, e.g. {output / 'labeled_articles.jsonl'}"
        raise UserError("is a folder, a file is needed", where=output, hint=hint)
    probe = output.with_name(f".{output.name}.probe.tmp")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        hint = "make it writable, or name another place with --output"
        raise UserError(f"cannot be written: {error.strerror}", where=output, hint=hint) from None


def remove_leftovers(output: Path) -> None:
    """Remove temporary files that a killed run left beside the output."""
    for leftover in output.parent.glob(f".{output.name}.*.tmp"):
        leftover.unlink(missing_ok=True)


class LabelWriter:
    """Writes each article's outcome; the files appear when the block ends well.

    Rejected and failed rows go to `rejects`; what the pre-filter blocked, which is no fault of the
    row, to `<output>.skipped.jsonl`.
    """

    def __init__(self, filter: Filter, output: Path, rejects: Rejects) -> None:
        self._filter, self._output, self._rejects = filter, output, rejects
        self._skipped_path = output.with_name(f"{output.name}.skipped.jsonl")
        self._stack = ExitStack()
        self._skipped: IO[str] | None = None
        self._file: IO[str]

    def __enter__(self) -> Self:
        self._file = self._stack.enter_context(atomic_write(self._output))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if error is None and self._skipped is None:
            self._skipped_path.unlink(missing_ok=True)

    def write(self, line: int, article: Article, outcome: Label | Setback) -> None:
        """Write one outcome; `line` is the article's line in the input."""
        if isinstance(outcome, Label):
            _put(self._file, labelled_row(self._filter, article, outcome))
        elif outcome.state == "skipped":
            row = {"line": line, "id": article.id, "reason": outcome.reason}
            _put(self._skipped_file(), row)
        elif outcome.state != "open":
            self._rejects.add(line, outcome.reason, kind=f"answer_{outcome.state}", id=article.id)

    def _skipped_file(self) -> IO[str]:
        if self._skipped is None:
            self._skipped = self._stack.enter_context(atomic_write(self._skipped_path))
        return self._skipped


def _put(file: IO[str], row: dict[str, Any]) -> None:
    file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
