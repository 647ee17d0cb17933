"""A report's markdown as HTML in which nothing can run: no raw HTML, no links, no addresses.

Only what our own templates write is understood: headings, lists, tables, quotations, code,
emphasis, images that are plots beside the report, `<br>`, and `<details>` on lines of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from distillery_core.reports.line_table import MARKS
from distillery_core.reports.record import LevelName

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_OPEN = re.compile(r"^<details><summary>(.*)</summary>$")
_CLOSE = "</details>"
_BREAK = "<br>"
_FEW = 3
"""Columns that fit on a phone."""

_FENCE = re.compile(r"^(`{3,}|~{3,})")

GLYPHS: dict[LevelName, str] = {"OK": "✓", "REVIEW": "⚠", "FAIL": "✗", "NOT_APPLICABLE": "–"}
"""Marks of verdicts that every font has; a page colours them itself."""


def to_html(body: str, figures: Mapping[str, Markup], below: int = 1) -> Markup:
    """The body of a report as HTML.

    Args:
        figures: what stands in the place of an image, by its address in the markdown; one that is
            not among them becomes its alternative text.
        below: how many levels the headings go down, so that they fit under the page's own.
    """
    parts: list[str] = []
    depth = 0
    for level, glyph in GLYPHS.items():
        body = body.replace(MARKS[level], glyph)
    for kind, text in _parts(body):
        if kind == "open":
            parts.append(f"<details><summary>{_parser().renderInline(text)}</summary>")
            depth += 1
        elif kind == "close":
            parts.append(_CLOSE if depth else "")
            depth -= bool(depth)
        else:
            parts.append(_rendered(text, figures, below))
    return Markup("\n".join([*parts, _CLOSE * depth]))  # noqa: S704  # rendered without raw HTML


def _parts(body: str) -> Iterator[tuple[str, str]]:
    """The markdown between lines that open or close a fold; those inside a fence are text."""
    lines: list[str] = []
    fence = ""
    for line in body.split("\n"):
        opened = _OPEN.match(line)
        if not fence and (opened or line == _CLOSE):
            yield "text", "\n".join(lines)
            lines = []
            yield ("open", opened[1]) if opened else ("close", "")
            continue
        fence = _fence_after(line, fence)
        lines.append(line if fence or line.startswith("|") else line.replace(_BREAK, "\\\n"))
    yield "text", "\n".join(lines)


def _fence_after(line: str, fence: str) -> str:
    found = _FENCE.match(line)
    if not found:
        return fence
    if not fence:
        return found[1]
    closes = found[1].startswith(fence) and not line[len(found[1]) :].strip()
    return "" if closes else fence


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.disable(["link", "autolink", "reference", "html_block", "html_inline"])
    parser.add_render_rule("image", _image)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    return parser


def _rendered(text: str, figures: Mapping[str, Markup], below: int) -> str:
    tokens = _parser().parse(text)
    for at, token in enumerate(tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + below, 6)}"
        if token.type == "table_open":
            _dress_table(tokens, at)
        if token.type == "inline" and [one.type for one in token.children or ()] == ["image"]:
            # A plot stands outside of a paragraph.
            tokens[at - 1].hidden = tokens[at + 1].hidden = True
    return str(_parser().renderer.render(tokens, _parser().options, {"figures": figures}))


def _dress_table(tokens: list[Token], at: int) -> None:
    """Alignment becomes a class (no style attribute is allowed), a verdict gets its colour, and
    each cell knows its header, which a narrow screen shows beside it."""
    headers: list[str] = []
    column = 0
    for place in range(at, len(tokens)):
        token = tokens[place]
        if token.type == "table_close":
            break
        column = 0 if token.type == "tr_open" else column
        if token.type == "th_open":
            headers.append(tokens[place + 1].content)
            token.attrSet("scope", "col")
            _classes(token, "r" if _right(token) else "")
        if token.type == "td_open":
            text = tokens[place + 1].content
            none = "none" if text in ("", "-") else ""
            _classes(token, "r" if _right(token) else "", _verdict(text), none)
            if headers[column]:
                token.attrSet("data-h", headers[column])
            column += 1
    tokens[at].meta["many"] = len(headers) > _FEW


def _right(token: Token) -> bool:
    return "right" in str(token.attrs.pop("style", ""))


def _classes(token: Token, *names: str) -> None:
    if any(names):
        token.attrSet("class", " ".join(filter(None, names)))


def _verdict(text: str) -> str:
    """The class of a cell that begins with a verdict's mark."""
    return next(
        (level.lower() for level, glyph in GLYPHS.items() if text.startswith(f"{glyph} ")), ""
    )


def _image(self: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    token = tokens[at]
    figure = env.get("figures", {}).get(str(token.attrGet("src") or ""))
    return str(figure) if figure is not None else f"<p>[{escape(token.content)}]</p>"


def _table_open(self: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    many = ' class="many"' if tokens[at].meta.get("many") else ""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="table"><table{many}>\n'


def _table_close(self: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    return "</table></div>\n"
