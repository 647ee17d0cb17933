"""Hostile text cannot steer the terminal, and JSON stays JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.cli import console

HOSTILE = "\x1b[2J\x1b]0;owned\x07 [bold red]x[/] \u202egnp.exe \x9b31m \u200b"


def test_clean_shows_control_characters_as_escapes() -> None:
    assert console.clean(HOSTILE) == (
        "\\u001b[2J\\u001b]0;owned\\u0007 [bold red]x[/] \\u202egnp.exe \\u009b31m \\u200b"
    )


def test_clean_keeps_lines_tabs_and_every_script() -> None:
    text = "eins\n\tzwei\r\nдва 二 \U0001f525 é"
    assert console.clean(text) == "eins\n\tzwei\nдва 二 \U0001f525 é"


@given(st.text())
def test_clean_leaves_nothing_that_steers(text: str) -> None:
    cleaned = console.clean(text)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in cleaned)
    assert console.clean(cleaned) == cleaned


def test_one_line_cuts() -> None:
    assert console.one_line("a  b\nc") == "a b c"
    assert console.one_line("abcdef", 4) == "abc…"


def test_table_takes_markup_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(("title", "[b]"), [("[red]x[/red]", ":fire:"), (HOSTILE, "[/]")])
    out = capsys.readouterr().out
    assert "[red]x[/red]" in out
    assert ":fire:" in out
    assert "\x1b" not in out


def test_json_round_trips_hostile_text(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"title": HOSTILE})
    out = capsys.readouterr().out
    assert json.loads(out) == {"title": HOSTILE}
    assert "\u202e" not in out
    assert "\x9b" not in out


def test_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        console.print_json({"mae": float("nan")})


def test_only_json_sends_library_prints_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with console.only_json(True):
        print("a library speaks")
    console.print_json([1])
    captured = capsys.readouterr()
    assert json.loads(captured.out) == [1]
    assert "a library speaks" in captured.err
