"""The single answers behind combined labels, as the labels' provenance lists them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distillery_core.agreement.combining import Aggregate
from distillery_core.agreement.ratings import Rater, Ratings, ratings_of
from distillery_core.dataset.rejects import Rejects
from distillery_core.dataset.rows import LabelledArticle, read_labelled
from distillery_core.filters.config import Score
from distillery_core.filters.filter import Filter

MOST_ARTICLES = 10_000
"""Articles that agreement is measured on at most: enough for intervals of a few hundredths."""

Answers = dict[str, dict[Rater, Mapping[str, float]]]
"""Article id -> rater -> scores."""


class SingleAnswer(BaseModel):
    """One answer in a label's provenance; what else stands there is not looked at."""

    model_config = ConfigDict(frozen=True, strict=True)

    oracle: str = Field(min_length=1)
    repeat: int = Field(ge=1)
    scores: dict[str, Score]

    @property
    def rater(self) -> Rater:
        """Who gave it."""
        return Rater(self.oracle, self.repeat)


class CombinedLabel(BaseModel):
    """What a combined label's provenance says."""

    model_config = ConfigDict(frozen=True)

    aggregate: Aggregate
    answers: tuple[SingleAnswer, ...] = Field(min_length=1)


def single_answers(provenance: Mapping[str, Any]) -> CombinedLabel | None:
    """The answers that a label was made of; None for a label of one answer, or a damaged list."""
    try:
        return CombinedLabel.model_validate(dict(provenance)) if "answers" in provenance else None
    except ValidationError:
        return None


class Chosen:
    """Keeps at most so many articles' answers, chosen by a hash of the id.

    The same articles are chosen from every file and in any order of its rows.
    """

    def __init__(self, most: int = MOST_ARTICLES) -> None:
        self._most = most
        self._heap: list[tuple[int, str]] = []
        self.answers: Answers = {}
        self.seen = 0

    def add(self, id: str, given: Mapping[Rater, Mapping[str, float]]) -> None:
        """Offer an article's answers; those of an article that is kept are added to it."""
        if id in self.answers:
            self.answers[id].update(given)
            return
        key = -int.from_bytes(blake2b(id.encode(), digest_size=8).digest())
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, (key, id))
        else:
            _, dropped = heapq.heappushpop(self._heap, (key, id))
            if dropped == id:
                return
            del self.answers[dropped]
        self.answers[id] = dict(given)


def answers_in(
    path: Path, filter: Filter, rejects: Rejects
) -> tuple[Ratings, int, Aggregate] | None:
    """All single answers of a file of combined labels.

    Returns:
        The answers, the number of articles that have some, and how they were combined; None where
        no label names its answers.
    """
    chosen, seen = Chosen(), 0
    aggregate: Aggregate = "median"
    for row in read_labelled(path, filter, rejects):
        combined = single_answers(row.provenance)
        if combined is not None:
            aggregate, seen = combined.aggregate, seen + 1
            chosen.add(row.article.id, {one.rater: one.scores for one in combined.answers})
    if not chosen.answers:
        return None
    return ratings_of(chosen.answers, filter.dimensions), seen, aggregate


def scores_of(row: LabelledArticle, dimensions: Iterable[str]) -> dict[str, float]:
    """A labelled row's scores by dimension."""
    return dict(zip(dimensions, row.scores, strict=True))
