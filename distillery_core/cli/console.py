"""Printing: results to stdout, everything else to stderr, and no text can steer the terminal."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

CELL_WIDTH = 300
"""Longest cell of a table, in characters."""

# Control characters can recolour, clear or retitle a terminal, and bidirectional and zero-width
# ones can make a line read as something else. Titles, ids and file names are anybody's text.
# (The zero-width joiners of Persian and of Indian scripts stay.)
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def clean(text: str) -> str:
    """The text with control, bidirectional and zero-width characters shown as escapes."""
    return _STEERING.sub(_escape, text.replace("\r\n", "\n"))


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def one_line(text: str, width: int = 70) -> str:
    """Cleaned, on one line, cut with an ellipsis."""
    line = clean(" ".join(text.split()))
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def say(text: str = "") -> None:
    """A line of the result, to stdout."""
    print(clean(text))


def note(text: str) -> None:
    """A line that is not the result (what happens, what is next), to stderr."""
    print(clean(text), file=sys.stderr)


def print_error(text: str, word: str = "error") -> None:
    """`error: where: what` to stderr, further lines as they are."""
    sys.stdout.flush()
    note(f"{word}: {text}" if word else text)


def print_json(value: Any) -> None:
    """A JSON value to stdout, the only thing there when a verb is given `--json`."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    print(_STEERING.sub(_escape, text))


@contextlib.contextmanager
def only_json(wanted: bool) -> Iterator[None]:
    """While a verb with `--json` works, whatever any library prints goes to stderr."""
    if not wanted:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table to stdout; cells are plain text, never markup, and whole where no terminal is."""
    cells = [[one_line(str(cell), CELL_WIDTH) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich_table(columns, cells)
    else:
        _plain_table([list(columns), *cells])


def _plain_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(file=sys.stdout).print(table)


def stderr_console() -> Console:
    """A rich console on stderr that interprets no markup."""
    from rich.console import Console

    return Console(stderr=True, markup=False, emoji=False, highlight=False)
