from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.reports.markdown import code_block, cut, escape, inline_code, one_line, table


@pytest.mark.parametrize(
    ("hostile", "forbidden"),
    [
        ("a | b", "|"),
        ("`code`", "`"),
        ("<script>alert(1)</script>", "<script"),
        ("<img src=x onerror=y>", "<img"),
        ("&lt;b&gt;", "&lt;b"),
        ("[click](https://evil.example)", "[click]"),
        ("see https://evil.example/x", "https://"),
        ("see www.evil.example", "www.e"),
        ("ping @octocat", "@octocat"),
        ("closes #12", "#12"),
        ("closes GH-12", "GH-12"),
        ("costs $5 or $6", "$"),
        ("# heading", "# h"),
        ("one\n\n# two", "\n"),
        ("~~gone~~", "~~g"),
        ("**bold** and __bold__", "**"),
        ("right\u202eleft", "\u202e"),
        ("zero\u200bwidth", "o\u200bw"),
        ("bell\x07", "\x07"),
        ("lone \ud800 surrogate", "\ud800"),
    ],
)
def test_nothing_breaks_out(hostile: str, forbidden: str) -> None:
    assert forbidden not in str(escape(hostile))


@pytest.mark.parametrize("start", ["- item", "+ item", "1. item", "12) item", "---", "===", "-"])
def test_a_line_starts_no_block(start: str) -> None:
    assert "\\" in escape(start)


@pytest.mark.parametrize(
    "plain", ["5.0 % to 7.5 %", "Floods hit town, 3 dead", "1.5 m", "-3 degrees"]
)
def test_plain_text_stays_readable(plain: str) -> None:
    assert escape(plain) == plain


def test_an_escaped_text_is_cut_by_its_own_characters() -> None:
    assert escape("<" * 50, limit=3) == "&lt;&lt;…"


def test_cutting_ends_at_a_word() -> None:
    assert cut("one two three four", 15) == "one two three…"
    assert cut("short", 15) == "short"


@given(st.text(max_size=200))
def test_one_line_never_has_breaks_or_controls(text: str) -> None:
    line = one_line(text)
    assert "\n" not in line and "\r" not in line and "\x00" not in line


@given(st.lists(st.lists(st.text(max_size=40), min_size=2, max_size=2), max_size=5))
def test_a_table_keeps_its_shape_whatever_stands_in_it(rows: list[list[str]]) -> None:
    lines = table(("a", "b"), rows).split("\n")
    assert len(lines) == len(rows) + 2
    assert all(line.count("|") == 3 for line in lines)


@given(st.text(max_size=60))
def test_inline_code_closes_only_at_its_end(text: str) -> None:
    span = str(inline_code(text))
    ticks = len(span) - len(span.lstrip("`"))
    inner = span[ticks:-ticks]
    assert "`" * ticks not in inner.strip("`") or inner.count("`" * (ticks + 1))
    assert "\n" not in span


def test_a_code_block_is_not_closed_by_its_content() -> None:
    block = str(code_block("```\nmore\n````", "diff"))
    assert block.startswith("`````diff\n") and block.endswith("\n`````")
