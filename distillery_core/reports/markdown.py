"""Makes untrusted text harmless in markdown: titles, sources, an oracle's or a model's words.

The result shows the same characters, but forms no table cell, heading, list, link, image, code,
HTML, formula, @mention or issue reference, in any renderer that follows CommonMark or GitHub.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from markupsafe import Markup

_ZERO_WIDTH_SPACE = "\u200b"
_ELLIPSIS = "…"

# Entities where a backslash would not do: inside tables, and for GitHub's $formulas$.
_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "|": "&#124;",
    "`": "&#96;",
    "$": "&#36;",
    **{character: f"\\{character}" for character in "\\*_{}[]#~!"},
}
_TRANSLATION = str.maketrans(_ESCAPES)
_BLOCK_START = re.compile(r"^()([-+=])(?=[-=\s]|$)|^(\d{1,9})([.)])(?=\s|$)")
_SCHEME = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp)(:)")
_WWW = re.compile(r"(?i)\b(www)(\.)")
_REFERENCE = re.compile(r"(?i)\b(gh)(-)(?=\d)")
_FENCE = re.compile(r"`{3,}|~{3,}")


def escape(text: str, limit: int | None = None) -> Markup:
    """One line of harmless markdown.

    Args:
        limit: cut to this many characters of the original, an ellipsis in place of the rest.
    """
    line = cut(one_line(text), limit)
    escaped = _BLOCK_START.sub(_escape_start, line.translate(_TRANSLATION))
    return Markup(_unlinked(escaped))  # noqa: S704  # escaped on the lines above


def one_line(text: str) -> str:
    """White space collapsed; control, format and lone surrogate characters taken out."""
    kept = (c if c.isspace() else "" if unicodedata.category(c)[0] == "C" else c for c in text)
    return " ".join("".join(kept).split())


def cut(text: str, limit: int | None) -> str:
    """At most `limit` characters, ended at a word where one ends nearby."""
    if limit is None or len(text) <= limit:
        return text
    head = text[: max(limit - 1, 0)]
    space = head.rfind(" ")
    return (head[:space] if space > limit * 0.7 else head).rstrip() + _ELLIPSIS


def _escape_start(match: re.Match[str]) -> str:
    """A line may start like a list, a rule or an underline; then its first mark is escaped."""
    if match[2] is not None:
        return f"{match[1]}\\{match[2]}"
    return f"{match[3]}\\{match[4]}"


def _unlinked(text: str) -> str:
    """Breaks what renderers link by themselves: addresses, @mentions, #1 and GH-1."""
    for pattern in (_SCHEME, _WWW, _REFERENCE):
        text = pattern.sub(rf"\1\2{_ZERO_WIDTH_SPACE}", text)
    return text.replace("@", f"@{_ZERO_WIDTH_SPACE}").replace("\\#", f"\\#{_ZERO_WIDTH_SPACE}")


def inline_code(text: str, limit: int | None = None) -> Markup:
    """A code span, for ids and names; safe inside a table cell.

    A pipe, which no code span can hold in a table, is shown as a broken bar.
    """
    line = cut(one_line(text), limit).replace("|", "¦")
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if longest or not line else ""
    return Markup(f"{ticks}{pad}{line}{pad}{ticks}")  # noqa: S704  # closed by its own ticks only


def code_block(text: str, language: str = "") -> Markup:
    """A fenced block whose fence is longer than any run of fence characters inside it."""
    longest = max((len(run) for run in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    lines = [_printable(line) for line in text.splitlines()]
    return Markup("\n".join([f"{fence}{language}", *lines, fence]))  # noqa: S704  # fenced


def _printable(line: str) -> str:
    return "".join(c for c in line if c == "\t" or unicodedata.category(c)[0] != "C")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """A GitHub table; cells that are no Markup are escaped.

    Args:
        right: the columns that are aligned right (numbers).
    """
    numeric = set(right)
    rule = ["---:" if column in numeric else "---" for column in range(len(header))]
    lines = [_row(header), "| " + " | ".join(rule) + " |", *(_row(row) for row in rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    """A lone "-" forms no list inside a table."""
    return text if isinstance(text, Markup) or text == "-" else escape(text)
