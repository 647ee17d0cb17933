from __future__ import annotations

from pathlib import Path

import pytest
from markupsafe import Markup

from distillery_core.errors import UserError
from distillery_core.filters.config import About
from distillery_core.reports.templates import render_file, render_text


def test_what_a_template_forgets_to_escape_is_escaped() -> None:
    assert render_text("{{ title }}", {"title": "<b>|[x](y)"}) == "&lt;b&gt;&#124;\\[x\\](y)\n"


def test_finished_text_and_numbers_are_left_alone() -> None:
    context = {"done": Markup("**x**"), "n": 3}
    assert render_text("{{ done }} {{ n }} {{ 0.5 | percent }}", context) == "**x** 3 50 %\n"


def test_a_macro_is_not_escaped_twice() -> None:
    text = "{% macro bold(x) %}**{{ x }}**{% endmacro %}{{ bold('a*b') }}"
    assert render_text(text, {}) == "**a\\*b**\n"


def test_a_long_text_is_cut() -> None:
    assert render_text("{{ text | md(5) }}", {"text": "abcdefgh"}) == "abcd…\n"


def test_tables_and_code() -> None:
    shown = render_text("{{ [['a|b', '1']] | table(['x', 'n'], [1]) }}", {})
    assert shown.splitlines() == ["| x | n |", "| --- | ---: |", "| a&#124;b | 1 |"]
    assert render_text("{{ 'a_b' | code }} {{ 'on_topic' | words }}", {}) == "`a_b` on-topic\n"


@pytest.mark.parametrize(
    "source", ["{{ unknown }}", "{% if %}", "{{ ''.__class__.__mro__ }}", "{{ x.append(1) }}"]
)
def test_mistakes_and_escapes_from_the_sandbox_are_refused(source: str) -> None:
    with pytest.raises(UserError):
        render_text(source, {"x": []})


def test_a_template_reads_fields_of_pydantic_objects_and_calls_none_of_their_methods() -> None:
    """`parse_raw` unpickles: `agents/` of a project is data, and must not run code."""
    about = About(name="x", version="1")
    assert render_text("{{ about.name }}", {"about": about}) == "x\n"
    for call in ("parse_raw('N.', proto='pickle', allow_pickle=true)", "model_dump()", "copy()"):
        with pytest.raises(UserError, match="not safely callable"):
            render_text(f"{{{{ about.{call} }}}}", {"about": about})


def test_a_missing_template_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"report\.md\.j2"):
        render_file(tmp_path / "report.md.j2", {})
