"""What an oracle has to answer for a filter: the JSON schema it is sent, and the strict check."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distillery_core.filters.filter import Filter
from distillery_core.types import SCORE_MAX, SCORE_MIN

REASONING = "reasoning"


class AnswerInvalid(ValueError):
    """An answer that cannot become a label; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A checked answer: a score in [0, 10] for every dimension of the filter, none missing."""

    scores: dict[str, float]
    reasoning: str | None


def answer_schema(filter: Filter) -> dict[str, Any]:
    """The JSON schema of an answer, in the dimensions' order."""
    number = {"type": "number", "minimum": SCORE_MIN, "maximum": SCORE_MAX}
    properties: dict[str, Any] = {}
    if filter.config.oracle.reasoning:
        # First, so that a model writes its reasons before it commits itself to numbers.
        properties[REASONING] = {"type": "string"}
    properties |= {name: dict(number) for name in filter.dimensions}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def validate_answer(filter: Filter, value: Any) -> Answer:
    """Check a parsed answer: every dimension, finite, a number, 0-10, nothing else.

    Raises:
        AnswerInvalid: with every reason.
    """
    if not isinstance(value, Mapping):
        raise AnswerInvalid(f"an object is needed, not {type(value).__name__}")
    problems = [*_key_problems(filter, value), *_score_problems(filter, value)]
    reasoning = value.get(REASONING)
    if reasoning is not None and not isinstance(reasoning, str):
        problems.append("reasoning is not a text")
    if problems:
        raise AnswerInvalid("; ".join(problems))
    return Answer({name: float(value[name]) for name in filter.dimensions}, reasoning)


def _key_problems(filter: Filter, value: Mapping[str, Any]) -> list[str]:
    missing = [name for name in filter.dimensions if name not in value]
    extra = [str(key) for key in value if key not in filter.dimensions and key != REASONING]
    problems = [f"{name} is missing" for name in missing]
    for key in extra:
        close = difflib.get_close_matches(key, missing, n=1)
        problems.append(f"unknown key {key!r}" + (f" (for {close[0]}?)" if close else ""))
    return problems


def _score_problems(filter: Filter, value: Mapping[str, Any]) -> list[str]:
    given = ((name, value[name]) for name in filter.dimensions if name in value)
    return [problem for name, score in given if (problem := _score_problem(name, score))]


def _score_problem(name: str, score: Any) -> str | None:
    if isinstance(score, bool) or not isinstance(score, int | float):
        return f"{name} is not a number: {score!r:.40}"
    if isinstance(score, float) and not math.isfinite(score):
        return f"{name} is not finite: {score}"
    if not SCORE_MIN <= score <= SCORE_MAX:
        return f"{name} is outside 0-10: {score!r:.40}"  # an integer may be too large for a float
    return None
