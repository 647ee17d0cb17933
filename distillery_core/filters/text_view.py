"""The one text view: which part of an article the oracle, the trainer and the scorer read."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from distillery_core.filters.config import TextConfig

VIEW_RULE = 1
"""Raised when the rule below changes, so that every label and model knows which one it saw."""

GAP = "\n[...]\n"
_SPACE_SEARCH = 40

CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]"
"""The categories Cc and Cs but for newline and tab; one pass of a pattern costs a tenth of looking
up each character's category."""

_CONTROL = re.compile(CONTROL)


@dataclass(frozen=True, slots=True)
class TextView:
    """What is read of an article."""

    title: str
    content: str


def text_view(title: str, content: str, config: TextConfig) -> TextView:
    """Clean title and content and cut the content to head and tail.

    A content of more than `max_chars` characters keeps its first `head_share` and its end, since
    news puts what matters first and conclusions last; the cut is marked by `[...]`.
    """
    return TextView(_clean(title).replace("\n", " "), _cut(_clean(content), config))


def student_text(view: TextView) -> str:
    """The student's input (the seed's "[title + content]")."""
    return f"{view.title}\n\n{view.content}" if view.title else view.content


def pattern_text(title: str, content: str) -> str:
    """What the patterns of pre-filter, sampling and score rules search: the whole article, so that
    every room decides alike about `\\A` and about words across the two parts."""
    return f"{title}\n{content}"


def _clean(text: str) -> str:
    """NFC, LF line ends, and no control characters but newline and tab."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text).strip()


def _cut(text: str, config: TextConfig) -> str:
    if len(text) <= config.max_chars:
        return text
    head_chars = round(config.max_chars * config.head_share)
    tail_chars = config.max_chars - head_chars
    head = _back_to_space(text[:head_chars])
    return head + GAP + _on_to_space(text[-tail_chars:]) if tail_chars else head


def _back_to_space(text: str) -> str:
    """End at a word boundary if one is near (unspaced scripts have none)."""
    position = max(text.rfind(" "), text.rfind("\n"))
    return text[:position] if position > len(text) - _SPACE_SEARCH else text


def _on_to_space(text: str) -> str:
    found = [p for p in (text.find(" "), text.find("\n")) if p >= 0]
    position = min(found, default=-1)
    return text[position + 1 :] if 0 <= position < _SPACE_SEARCH else text
