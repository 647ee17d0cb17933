"""The one text view: head and tail, cleaned, no word cut where words exist."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from distillery_core.filters.config import TextConfig
from distillery_core.filters.text_view import GAP, TextView, student_text, text_view

VIEW = TextConfig(max_chars=200, head_share=0.75)


def _content(text: str, config: TextConfig = VIEW) -> str:
    return text_view("", text, config).content


def test_short_text_stays_whole() -> None:
    assert text_view("A title", "A text.", VIEW) == TextView("A title", "A text.")


def test_long_text_keeps_head_and_tail_at_word_boundaries() -> None:
    words = [f"word{number:03d}" for number in range(100)]
    head, tail = _content(" ".join(words)).split(GAP)
    assert head.split() == words[:18]  # 150 characters hold 18 words of 8
    assert tail.split() == words[-6:]
    assert len(head) <= 150
    assert len(tail) <= 50


def test_unspaced_text_keeps_its_full_share() -> None:
    text = "".join(chr(0x4E00 + number) for number in range(1000))
    head, tail = _content(text).split(GAP)
    assert head == text[:150]
    assert tail == text[-50:]


def test_head_only() -> None:
    content = _content("a" * 500, TextConfig(max_chars=200, head_share=1.0))
    assert content == "a" * 200


def test_exactly_the_budget_is_not_cut() -> None:
    assert _content("字" * 200) == "字" * 200
    assert GAP in _content("字" * 201)


def test_control_characters_and_line_ends_are_cleaned() -> None:
    view = text_view("A\r\ntitle\x00", "one\r\ntwo\rthree\tfour\x07\ud800 cafe\u0301 ", VIEW)
    assert view == TextView("A title", "one\ntwo\nthree\tfour café")


def test_student_reads_title_and_content() -> None:
    assert student_text(TextView("T", "C")) == "T\n\nC"
    assert student_text(TextView("", "C")) == "C"


@given(st.text(max_size=400), st.text(max_size=2000), st.floats(0.1, 1.0))
def test_view_is_bounded_and_sendable(title: str, content: str, head_share: float) -> None:
    config = TextConfig(max_chars=200, head_share=head_share)
    view = text_view(title, content, config)
    assert len(view.content) <= config.max_chars + len(GAP)
    assert "\n" not in view.title
    (view.title + view.content).encode("utf-8")


@given(st.text(max_size=150))
def test_view_of_a_view_of_a_short_text_is_the_same(content: str) -> None:
    once = _content(content)
    assert _content(once) == once
