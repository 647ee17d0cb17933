"""Labels inside labelled rows: all accepted shapes, one strict check, never a silent zero."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distillery_core.dataset.rejects import Kind
from distillery_core.filters.answers import REASONING, AnswerInvalid, validate_answer
from distillery_core.filters.filter import Filter

DIMENSIONS = "dimensions"
PROVENANCE = "provenance"
_SUFFIX = "_analysis"


class LabelProblem(ValueError):
    """Why a row has no usable label; `kind` is what it is counted as."""

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class RowLabel:
    """The label of one row: scores in the order of the filter's dimensions, each in [0, 10]."""

    scores: tuple[float, ...]
    reasoning: str | None
    provenance: Mapping[str, Any]


def read_label(row: Mapping[str, Any], filter: Filter) -> RowLabel:
    """The label of a row, every dimension given and nothing unknown beside them.

    Raises:
        LabelProblem: no analysis, a missing, misspelt or extra dimension, a score that is no
            finite number in 0-10.
    """
    analysis = _analysis(row, filter)
    scores = _scores(analysis)
    try:
        answer = validate_answer(filter, scores)
    except AnswerInvalid as error:
        raise LabelProblem(_kind(filter, scores), str(error)) from None
    provenance = analysis.get(PROVENANCE)
    return RowLabel(
        scores=tuple(answer.scores[name] for name in filter.dimensions),
        reasoning=_text(analysis.get(REASONING)) or answer.reasoning,
        provenance=provenance if isinstance(provenance, Mapping) else {},
    )


def _analysis(row: Mapping[str, Any], filter: Filter) -> Mapping[str, Any]:
    analysis = row.get(filter.analysis_key)
    if isinstance(analysis, Mapping):
        return analysis
    if analysis is not None:
        raise LabelProblem(Kind.NO_ANALYSIS, f"{filter.analysis_key} is not an object")
    others = sorted(key for key in row if key.endswith(_SUFFIX))
    beside = f"; the row has {', '.join(others)}" if others else ""
    raise LabelProblem(Kind.NO_ANALYSIS, f"{filter.analysis_key} is missing{beside}")


def _scores(analysis: Mapping[str, Any]) -> dict[str, Any]:
    """The scores as a flat mapping, from whichever accepted shape."""
    nested = analysis.get(DIMENSIONS)
    if nested is None:
        beside = (DIMENSIONS, PROVENANCE, REASONING)
        nested = {key: value for key, value in analysis.items() if key not in beside}
    if not isinstance(nested, Mapping):
        raise LabelProblem(Kind.NO_ANALYSIS, f"{DIMENSIONS} is not an object")
    return {name: _bare(value) for name, value in nested.items()}


def _bare(value: Any) -> Any:
    """`{"score": 7, "reasoning": "..."}` -> 7; anything else as it is."""
    return value["score"] if isinstance(value, Mapping) and "score" in value else value


def _kind(filter: Filter, scores: Mapping[str, Any]) -> Kind:
    """What an invalid label is counted as: the gravest of its problems."""
    if any(name not in scores for name in filter.dimensions):
        return Kind.MISSING_DIMENSION
    if any(key not in filter.dimensions and key != REASONING for key in scores):
        return Kind.UNKNOWN_DIMENSION
    values = [scores[name] for name in filter.dimensions]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return Kind.NOT_A_NUMBER
    if any(isinstance(value, float) and not math.isfinite(value) for value in values):
        return Kind.NOT_FINITE
    return Kind.OUT_OF_RANGE


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
