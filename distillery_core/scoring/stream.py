"""A file of articles to a file of scores: streaming, in order, one output line an input line."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from distillery_core.dataset.lines import check_input, refuse_overwriting
from distillery_core.dataset.rejects import MAX_BAD, Rejects
from distillery_core.dataset.rows import numbered_articles
from distillery_core.errors import UserError
from distillery_core.files import atomic_write
from distillery_core.filters.filter import Filter
from distillery_core.scoring.scorer import Result, Scorer
from distillery_core.student.settings import Device
from distillery_core.types import Article, Progress, silent

WINDOW = 512
"""Articles held at a time: enough to sort them by length, few enough for flat memory."""

NOT_FINITE = "not_finite_prediction"


@dataclass(frozen=True)
class ScoreSummary:
    """What a scoring run did.

    `lines` counts input lines that are not blank; it equals `scored + blocked + failed`.
    `seconds` leaves out loading the model. `tiers` counts scored articles.
    """

    output: Path
    rejected_path: Path
    lines: int
    scored: int
    blocked: int
    failed: int
    tiers: dict[str, int]
    seconds: float
    rejects: Rejects

    @property
    def articles_per_second(self) -> float:
        """Scored and blocked articles per second of wall time."""
        return (self.scored + self.blocked) / max(self.seconds, 1e-9)

    def check(self) -> None:
        """See that few enough lines were bad.

        Raises:
            CheckFailed: more than `max_bad` of them were; the output is complete nevertheless.
        """
        self.rejects.check()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {
            "output": str(self.output),
            "rejected": str(self.rejected_path) if self.failed else None,
            "lines": self.lines,
            "scored": self.scored,
            "blocked": self.blocked,
            "failed": self.failed,
            "tiers": self.tiers,
            "seconds": round(self.seconds, 3),
            "articles_per_second": round(self.articles_per_second, 2),
        }


def score_file(
    filter: Filter,
    model_dir: Path,
    input_path: Path,
    output: Path,
    *,
    max_bad: float = MAX_BAD,
    window: int = WINDOW,
    device: Device = "auto",
    threads: int | None = None,
    intervals: bool = False,
    progress: Progress = silent,
) -> ScoreSummary:
    """Score every line of a JSONL file (plain or gzip).

    Each line that is not blank gives one output line, in order: `{"line", "id", "title", "status":
    "scored", "scores", "overall", "tier", ...}`, or `"status": "blocked"` or `"error"` with the
    `reason`. Bad lines are also set aside in `<output>.rejected.jsonl`. The output appears when
    all is done; a run that is cut off leaves an older output as it was.

    Args:
        max_bad: share of bad lines that `ScoreSummary.check` accepts.
        window: articles held in memory at a time.
        intervals: write `intervals` beside `scores`, {dimension: [lower, upper]}.
        progress: called after every window with the number of lines done.

    Raises:
        UserError: the input or model cannot be used, or the output cannot be written.
    """
    check_input(input_path)
    refuse_overwriting(input_path, output)
    scorer = Scorer(filter, model_dir, device=device, threads=threads, intervals=intervals)
    started = time.monotonic()
    counts: Counter[str] = Counter()
    tiers: Counter[str] = Counter()
    with _Aside(output, max_bad) as rejects, _writable(output) as handle:
        for lines in _windows(input_path, rejects, window):
            for number, title, result in _scored(scorer, lines, rejects):
                _write(handle, number, title, result)
                counts[result.status] += 1
                tiers.update([result.tier] if result.tier else [])
            progress(counts.total(), None, f"{counts['scored']} scored")
    return ScoreSummary(
        output=output,
        rejected_path=rejects.path,
        lines=counts.total(),
        scored=counts["scored"],
        blocked=counts["blocked"],
        failed=counts["error"],
        tiers=dict(tiers),
        seconds=time.monotonic() - started,
        rejects=rejects,
    )


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the input: its article, or the error that stands for it."""

    number: int
    content: Article | Result


class _Aside(Rejects):
    """Rejects that also keep each bad line until the output has its line for it."""

    def __init__(self, output: Path, max_bad: float) -> None:
        super().__init__(output, max_bad)
        self.pending: list[_Line] = []

    def add(
        self, line: int, reason: str, *, kind: str = "other", id: str | None = None, raw: str = ""
    ) -> None:
        """Set one line aside and remember it."""
        super().add(line, reason, kind=kind, id=id, raw=raw)
        self.pending.append(_Line(line, Result(id or "", "error", reason)))

    def set_aside(self, line: int, result: Result) -> None:
        """Count a line that could be read but not scored."""
        super().add(line, result.reason or "", kind=NOT_FINITE, id=result.id)

    def take(self) -> list[_Line]:
        """The bad lines since the last call."""
        taken, self.pending = self.pending, []
        return taken


def _lines(path: Path, rejects: _Aside) -> Iterator[_Line]:
    """Every line in order: the reader sets bad ones aside before it yields the next good one."""
    for number, article in numbered_articles(path, rejects):
        yield from rejects.take()
        yield _Line(number, article)
    yield from rejects.take()


def _windows(path: Path, rejects: _Aside, size: int) -> Iterator[list[_Line]]:
    lines = _lines(path, rejects)
    while window := list(islice(lines, size)):
        yield window


def _scored(
    scorer: Scorer, lines: list[_Line], rejects: _Aside
) -> Iterator[tuple[int, str | None, Result]]:
    """(line number, title, result) of a window, in order."""
    articles = [line.content for line in lines if isinstance(line.content, Article)]
    results = iter(scorer.score(articles))
    for line in lines:
        if isinstance(line.content, Result):
            yield line.number, None, line.content
            continue
        result = next(results)
        if result.status == "error":
            rejects.set_aside(line.number, result)
        yield line.number, line.content.title, result


def _write(handle: IO[str], number: int, title: str | None, result: Result) -> None:
    row = result.row()
    head: dict[str, Any] = {"line": number, "id": row.pop("id") or None}
    if title is not None:
        head["title"] = title
    handle.write(json.dumps(head | row, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def _writable(output: Path) -> Iterator[IO[str]]:
    """atomic_write whose troubles (read-only folder, full disk) are the user's to mend."""
    try:
        with atomic_write(output) as handle:
            yield handle
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror or error}",
            where=output,
            hint="choose another --output; an older file there is as it was",
        ) from error
