from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from distillery_core.reports.html import to_html
from distillery_core.reports.markdown import escape

_TAGS = re.compile(r"<\s*/?\s*([a-z0-9]+)([^>]*)>")
_HARMLESS = {
    "h2", "h3", "h4", "h5", "h6", "p", "ul", "ol", "li", "strong", "em", "code", "pre", "table",
    "thead", "tbody", "tr", "th", "td", "div", "details", "summary", "blockquote", "br", "hr",
}  # fmt: skip


def test_what_reports_are_made_of() -> None:
    body = (
        "# A title\n\n| line | measured | verdict |\n|---|---:|---|\n"
        "| MAE | 1.2 | ⚠️ REVIEW |\n| n | - | ✅ DEPLOY |\n\n"
        "<details><summary>More `code`</summary>\n\n- **bold** &lt;b&gt;<br>next\n\n</details>\n"
    )
    html = to_html(body, {})
    assert "<h2>A title</h2>" in html
    assert '<th scope="col">line</th>' in html
    assert '<td class="r" data-h="measured">1.2</td>' in html
    assert '<td class="review" data-h="verdict">⚠ REVIEW</td>' in html
    assert '<td class="r none" data-h="measured">-</td>' in html
    assert "<details><summary>More <code>code</code></summary>" in html
    assert "<strong>bold</strong> &lt;b&gt;<br />\nnext" in html
    assert "style=" not in html


def test_a_plot_stands_for_its_image_and_words_for_one_that_is_missing() -> None:
    body = "![alt <text>](plots/a.png)\n\n![b](plots/b.png)\n\n![c](https://x/c.png)\n"
    html = to_html(body, {"plots/a.png": Markup("<svg></svg>")})
    assert "<svg></svg>" in html and "<p><svg>" not in html
    assert "[b]" in html and "[c]" in html and "https" not in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "![x](javascript:alert(1))",
        "<javascript:alert(1)>",
        "[x][y]\n\n[y]: javascript:alert(1)",
        "<details open ontoggle=alert(1)><summary>x</summary>",
        "<details><summary><img src=x onerror=alert(1)></summary>",
        "<!-- x --><svg/onload=alert(1)>",
        '| a |\n|---|\n| <b onclick="x"> |',
        "`<b>`\n\n```\n<b>\n</details>\n```",
    ],
)
def test_nothing_hostile_becomes_an_element(text: str) -> None:
    _is_harmless(to_html(text, {}))


@given(st.text(max_size=200))
def test_no_text_at_all_becomes_an_element(text: str) -> None:
    _is_harmless(to_html(text, {}))
    _is_harmless(to_html(f"| a |\n|---|\n| {escape(text)} |", {}))


def _is_harmless(html: str) -> None:
    for name, attributes in _TAGS.findall(html):
        assert name in _HARMLESS
        assert not re.search(r"\b(on\w+|href|src|style)\s*=", re.sub(r'"[^"]*"', '""', attributes))


def test_folds_are_always_closed() -> None:
    assert to_html("</details>\n<details><summary>x</summary>\n", {}).count("</details>") == 1
