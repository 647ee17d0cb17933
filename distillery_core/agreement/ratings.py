"""Ratings: every article, rater and dimension in one array, NaN where a rater gave no answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rater:
    """Who answered: an oracle (or a person), and the how-manieth answer of it this is."""

    oracle: str
    repeat: int = 1

    @property
    def name(self) -> str:
        """`gemini-flash`, `gemini-flash (2nd answer)`."""
        return (
            self.oracle if self.repeat == 1 else f"{self.oracle} ({_ordinal(self.repeat)} answer)"
        )


def _ordinal(number: int) -> str:
    teens = number % 100 in (11, 12, 13)
    ending = "th" if teens else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


@dataclass(frozen=True)
class Ratings:
    """Scores of the same articles by several raters.

    Attributes:
        articles: ids.
        raters: who answered, one a column.
        dimensions: names.
        values: shape (articles, raters, dimensions); NaN where a rater gave no valid answer.
    """

    articles: tuple[str, ...]
    raters: tuple[Rater, ...]
    dimensions: tuple[str, ...]
    values: Floats

    def __post_init__(self) -> None:
        wanted = (len(self.articles), len(self.raters), len(self.dimensions))
        if self.values.shape != wanted:
            raise ValueError(f"values of shape {self.values.shape}, {wanted} is needed")

    @cached_property
    def oracles(self) -> tuple[str, ...]:
        """The different oracles, in the raters' order."""
        return tuple(dict.fromkeys(rater.oracle for rater in self.raters))

    def columns_of(self, oracle: str) -> list[int]:
        """The columns that hold an oracle's answers."""
        return [at for at, rater in enumerate(self.raters) if rater.oracle == oracle]

    def of(self, dimension: str) -> Floats:
        """One dimension, shape (articles, raters)."""
        return self.values[:, :, self.dimensions.index(dimension)]


def ratings_of(
    answers: Mapping[str, Mapping[Rater, Mapping[str, float]]], dimensions: Sequence[str]
) -> Ratings:
    """Ratings from `answers[article][rater][dimension]`; what is not there is missing."""
    raters = sorted(
        {rater for given in answers.values() for rater in given},
        key=lambda rater: (rater.oracle, rater.repeat),
    )
    column = {rater: at for at, rater in enumerate(raters)}
    values = np.full((len(answers), len(raters), len(dimensions)), np.nan)
    for row, given in enumerate(answers.values()):
        for rater, scores in given.items():
            values[row, column[rater]] = [scores.get(name, np.nan) for name in dimensions]
    return Ratings(tuple(answers), tuple(raters), tuple(dimensions), values)
