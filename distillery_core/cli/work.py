"""Progress of long work: a bar with time left on a terminal, plain lines every few seconds else."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from distillery_core.cli.console import clean, note, one_line
from distillery_core.types import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 5.0
_PACE_SECONDS = 120.0
_SECONDS_BETWEEN_REPORTS = 1.0

Clock = Callable[[], float]


class Work(Protocol):
    """What a verb hands to a stage: `progress` as its Progress, `say` for its one-line notes."""

    def progress(self, done: int, total: int | None, note: str = "") -> None: ...

    def say(self, line: str) -> None: ...


@contextmanager
def work(title: str) -> Iterator[Work]:
    """Show the progress of what runs inside, on stderr."""
    if sys.stderr.isatty():
        with _bars() as bars:
            yield BarWork(title, bars)
    else:
        yield LineWork(title)


class LineWork:
    """Plain lines such as `label: 120 of 350 (34 %), 2 min left, $0.0120`."""

    def __init__(
        self, title: str, clock: Clock = time.monotonic, write: Callable[[str], None] = note
    ) -> None:
        self._title = title
        self._clock = clock
        self._write = write
        self._pace = Pace(clock)
        self._last: float | None = None

    def progress(self, done: int, total: int | None, note: str = "") -> None:
        """Write a line if the last one is old enough, and always the one that completes."""
        self._pace.update(done, total)
        now = self._clock()
        due = self._last is None or now - self._last >= SECONDS_BETWEEN_LINES
        if due or (total is not None and done >= total):
            self._last = now
            self._write(f"{self._title}: {self._line(done, total, note)}")

    def say(self, line: str) -> None:
        """Write the line."""
        self._write(line)

    def _line(self, done: int, total: int | None, note: str) -> str:
        share = f"{done} of {total} ({done / total:.0%})" if total else str(done or "")
        left = self._pace.seconds_left()
        parts = (share, f"{duration(left)} left" if left else "", one_line(note, 100))
        return ", ".join(part for part in parts if part)


class BarWork:
    """A rich bar; a new one is begun when the total changes or the count starts again."""

    def __init__(self, title: str, bars: Bars) -> None:
        self._title = title
        self._bars = bars
        self._task: TaskID | None = None
        self._done = 0
        self._total: int | None = None

    def progress(self, done: int, total: int | None, note: str = "") -> None:
        """Move the bar."""
        if self._task is None or done < self._done or total != self._total:
            self._task = self._bars.add_task(self._title, total=total, note="")
        self._done, self._total = done, total
        self._bars.update(self._task, completed=done, note=one_line(note, 60))

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bars.console.print(clean(line), soft_wrap=True)


class Pace:
    """Time left of work that reports how much is done, from its rate in the last two minutes.

    A run that goes on where it stopped reports what it knows already at once; its rate so far would
    promise an end that never comes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reports: deque[tuple[float, int]] = deque()
        self._done = 0
        self._total: int | None = None

    def update(self, done: int, total: int | None) -> None:
        """Note a report; another total or a smaller count means that other work has begun."""
        now = self._clock()
        if done < self._done or total != self._total:
            self._reports.clear()
        if not self._reports or now - self._reports[-1][0] >= _SECONDS_BETWEEN_REPORTS:
            self._reports.append((now, done))
        while len(self._reports) > 2 and now - self._reports[1][0] >= _PACE_SECONDS:
            self._reports.popleft()
        self._done, self._total = done, total

    def seconds_left(self) -> float | None:
        """Seconds to go, or None while nothing can be said."""
        if self._total is None or not self._reports:
            return None
        began, done_then = self._reports[0]
        elapsed, gained = self._clock() - began, self._done - done_then
        if gained <= 0 or elapsed <= 0:
            return None
        return (self._total - self._done) * elapsed / gained


def duration(seconds: float | None) -> str:
    """`45 s`, `12 min`, `3 h 05 min`."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def with_total(progress: Progress, expected: int | None) -> Progress:
    """A Progress that fills in the total where the worker does not know it."""

    def report(done: int, total: int | None, note: str = "") -> None:
        progress(done, expected if total is None else total, note)

    return report


def lines_in(path: Path) -> int | None:
    """Lines of a file, for a bar; None where it is packed, missing or no file."""
    if path.suffix == ".gz" or not path.is_file():
        return None
    count, last = 0, b""
    with path.open("rb") as handle:
        for chunk in iter(lambda: handle.read(1 << 20), b""):
            count, last = count + chunk.count(b"\n"), chunk[-1:]
    return count + (last not in (b"", b"\n"))


def _bars() -> Bars:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as RichProgress
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.progress import TimeRemainingColumn as Remaining

    from distillery_core.cli.console import stderr_console

    def text(field: str) -> TextColumn:
        return TextColumn(field, markup=False)

    columns = (text("{task.description}"), BarColumn(), MofNCompleteColumn())
    return RichProgress(*columns, Elapsed(), Remaining(), text("{task.fields[note]}"),
                    console=stderr_console())  # fmt: skip
