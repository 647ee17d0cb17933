"""What is kept of a scored article once its text is gone: enough to judge a round again.

Every measurement of the calibration table is computed from observations, so that a round pooled
from the file of earlier rounds and a round just scored go the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distillery_core.agents.grounding import Grounding, grounding
from distillery_core.agents.scored import ScoredArticle, State
from distillery_core.dataset.classes import CLASSES, SampleClass

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Observation:
    """One article of a round.

    Attributes:
        key: identity of its text.
        scores: in the order of the filter's dimensions, 0-10; None without a valid answer.
        overall: 0-10, None without scores.
        grounding: shares of the explanation's words, None without an explanation.
    """

    key: str
    class_name: SampleClass
    state: State
    scores: tuple[float, ...] | None = None
    overall: float | None = None
    grounding: Grounding | None = None

    def to_row(self) -> dict[str, Any]:
        """As a JSON object; what is absent is left out."""
        row: dict[str, Any] = {"key": self.key, "class": self.class_name, "state": self.state}
        if self.scores is not None:
            row |= {"overall": round(self.overall or 0.0, _DIGITS), "scores": list(self.scores)}
        if self.grounding is not None:
            shares = (self.grounding.own, self.grounding.other)
            row["grounding"] = [round(share, _DIGITS) for share in shares]
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Observation:
        """The inverse of `to_row` (KeyError, TypeError, ValueError: not such a row)."""
        shares = row.get("grounding")
        scores = row.get("scores")
        if row["class"] not in CLASSES:
            raise ValueError(f"no class of articles: {row['class']!r}")
        return cls(
            key=str(row["key"]),
            class_name=row["class"],
            state=row["state"],
            scores=None if scores is None else tuple(float(score) for score in scores),
            overall=None if scores is None else float(row["overall"]),
            grounding=None if shares is None else Grounding(float(shares[0]), float(shares[1])),
        )


def observe(dimensions: Sequence[str], scored: Sequence[ScoredArticle]) -> list[Observation]:
    """The observations of a sample, in its order."""
    return [
        Observation(
            key=one.key,
            class_name=one.class_name,
            state=one.state,
            scores=None if one.scores is None else tuple(one.scores[name] for name in dimensions),
            overall=one.overall,
            grounding=found if one.scores is not None else None,
        )
        for one, found in zip(scored, grounding(scored), strict=True)
    ]


def of_class(seen: Sequence[Observation], *classes: SampleClass) -> list[float]:
    """Overall scores of the validly scored articles of these classes."""
    return [one.overall for one in seen if one.overall is not None and one.class_name in classes]
