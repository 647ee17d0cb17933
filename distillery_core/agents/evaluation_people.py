"""Student and oracle beside people, on the same test articles."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from distillery_core.agents.evaluation_evidence import EvaluationEvidence
from distillery_core.agents.people import OVERALL, AgainstPeople, against_people
from distillery_core.student.measures.metrics import Array


@dataclass(frozen=True, slots=True)
class Beside:
    """One line: the student's and the oracle's distance from people on the same articles."""

    student: AgainstPeople
    oracle: AgainstPeople


@dataclass(frozen=True, slots=True)
class PeopleOnTest:
    """What people's scores of test articles say.

    Attributes:
        names: who scored.
        articles: test articles with a score of theirs.
        lines: a line a dimension, then the overall score.
    """

    names: tuple[str, ...]
    articles: int
    lines: tuple[Beside, ...]

    def numbers(self) -> dict[str, Any]:
        """For the report's front matter."""
        return {**asdict(self), "names": list(self.names)}


def people_on_test(evidence: EvaluationEvidence) -> PeopleOnTest | None:
    """Student against person and oracle against person; None where nobody scored test articles."""
    given = evidence.by_people
    if given is None:
        return None
    columns = [*evidence.dimensions, OVERALL]
    theirs = _with_overall(given.scores, given.overall)
    student = _with_overall(evidence.test.predictions, evidence.overall)
    oracle = _with_overall(evidence.test.labels, evidence.labelled_overall)
    pairs = zip(
        against_people(columns, student, theirs),
        against_people(columns, oracle, theirs),
        strict=True,
    )
    scored = int(np.isfinite(given.scores).any(axis=1).sum())
    return PeopleOnTest(given.names, scored, tuple(Beside(*pair) for pair in pairs))


def _with_overall(scores: Array, overall: Array) -> Array:
    """[articles, dimensions + 1]."""
    return np.column_stack([scores.astype(np.float64), overall])
