"""Finds the JSON answer in what a model wrote, tolerantly; whether it is valid is decided strictly.

Tolerated: a fence, prose around, a `<think>` part before, trailing commas, backslashes that JSON
does not know (LaTeX). Strings are never touched otherwise, so that URLs stay whole. Not tolerated:
anything about the values themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from distillery_core.filters.answers import Answer, AnswerInvalid, validate_answer
from distillery_core.filters.filter import Filter
from distillery_core.oracle.steps import AnswerRejected

_THINKING = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_MAX_CANDIDATES = 20

# Either a whole string (kept as it is), or a comma with nothing but a closing bracket after it.
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)
_UNKNOWN_ESCAPE = re.compile(r'\\(\\|["/bfnrt]|u[0-9a-fA-F]{4})|\\')


class _DuplicateKey(ValueError):
    """One key given twice: which value was meant cannot be known."""


def parse_answer(filter: Filter, raw: str) -> Answer:
    """The checked answer in a raw one.

    Raises:
        AnswerInvalid: there is no JSON object, more than one answers, or the values are wrong.
    """
    return validate_answer(filter, find_object(raw))


def check_for(filter: Filter, raw: str) -> dict[str, Any]:
    """As `parse_answer`, in the form that the ledger keeps.

    Raises:
        AnswerRejected: with the reason.
    """
    try:
        answer = parse_answer(filter, raw)
    except AnswerInvalid as error:
        raise AnswerRejected(str(error)) from None
    return {"scores": answer.scores, "reasoning": answer.reasoning}


def find_object(raw: str) -> dict[str, Any]:
    """The one JSON object of a text; of several different ones none can be chosen.

    Raises:
        AnswerInvalid: none, or several that differ.
    """
    text = _THINKING.sub("", raw).strip()
    if not text:
        raise AnswerInvalid("the answer is empty")
    found: list[dict[str, Any]] = []
    try:
        for candidate in _candidates(text):
            value = _loads(candidate)
            if isinstance(value, dict) and value not in found:
                found.append(value)
    except _DuplicateKey as error:
        raise AnswerInvalid(str(error)) from None
    if not found:
        raise AnswerInvalid(f"no JSON object in the answer: {_excerpt(text)}")
    if len(found) > 1:
        raise AnswerInvalid(f"{len(found)} different JSON objects in the answer")
    return _encodable(found[0]) if "\\ud" in text.lower() else found[0]


def _encodable(value: dict[str, Any]) -> dict[str, Any]:
    """Halves of surrogate pairs, which JSON can escape and UTF-8 cannot write, as "?"."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise AnswerInvalid("nested too deeply") from None
    whole: dict[str, Any] = json.loads(text.encode("utf-8", "replace"))
    return whole


def _candidates(text: str) -> Iterator[str]:
    """The whole text if it is an object, else what is fenced, else each outermost {...}."""
    if text.startswith("{") and _loads(text) is not None:
        yield text
        return
    fenced = [block.strip() for block in _FENCED.findall(text)]
    if any(_loads(block) is not None for block in fenced):
        yield from fenced
        return
    yield from _braced(text)


def _braced(text: str) -> Iterator[str]:
    """Outermost balanced {...} pieces, braces inside strings not counted."""
    start = text.find("{")
    for _ in range(_MAX_CANDIDATES):
        if start < 0:
            return
        end = _closing(text, start)
        if end is None:
            start = text.find("{", start + 1)
            continue
        yield text[start : end + 1]
        start = text.find("{", end + 1)


def _closing(text: str, start: int) -> int | None:
    depth, in_string, escaped = 0, False, False
    for position in range(start, len(text)):
        character = text[position]
        if in_string:
            in_string = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            in_string = True
        elif character in "{}":
            depth += 1 if character == "{" else -1
            if depth == 0:
                return position
    return None


def _loads(text: str) -> Any:
    """The value of a JSON text, mended if need be; None if it is none."""
    for attempt in (text, _mended(text)):
        try:
            return json.loads(attempt, object_pairs_hook=_no_duplicates, strict=False)
        except _DuplicateKey:
            raise
        except (ValueError, RecursionError):  # no JSON, or an integer of thousands of digits
            continue
    return None


def _mended(text: str) -> str:
    without_commas = _TRAILING_COMMA.sub(lambda match: match.group(1) or "", text)
    return _UNKNOWN_ESCAPE.sub(
        lambda match: match.group(0) if match.group(1) else "\\\\", without_commas
    )


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _DuplicateKey("a key is given twice")
    return value


def _excerpt(text: str) -> str:
    return repr(" ".join(text.split())[:80])
