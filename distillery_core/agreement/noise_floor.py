"""The noise floor of labels: how far two labels made the same way lie apart, by chance alone.

A label made of k answers is not what the oracle would say of the article on average; it is off by
chance, and a student is judged against labels that are. Two numbers a dimension:

single   mean absolute difference of two single answers to the same article, over all pairs
label    the same for two labels of k answers each: single x s(k), where s(k) is the standard
         deviation of the mean (1 / sqrt k) or of the median of k independent answers, in units of
         that of one answer

The mean absolute difference of two independent draws is 2 sigma / sqrt(pi) under a normal
distribution (Gini's mean difference; David and Nagaraja 2003, Order Statistics, 3rd ed.), so it
shrinks as the standard deviation does. s(k) of the median is that of a normal sample (there too,
section 8.5; k = 3: 0.670, k = 5: 0.536). For labels of one answer both numbers are the same.

Where every oracle was asked once, the answers of different oracles stand in for repeats, after the
mean offset of each oracle is taken off. That counts what the oracles see differently as noise, so
it is an upper estimate (basis "oracles").
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from distillery_core.agreement.combining import Aggregate
from distillery_core.agreement.ratings import Floats, Ratings
from distillery_core.agreement.repeated import mean_pair_differences

Basis = Literal["repeats", "oracles"]

_DRAWS = 200_000
_TOO_MANY = 100


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """What chance does to single answers and to labels, by dimension, points of 0-10.

    Attributes:
        basis: repeated answers of one oracle, or answers of different oracles (upper estimate).
        aggregate: how labels were made of answers.
        answers: most answers a label is made of.
        articles: articles the numbers rest on.
    """

    basis: Basis
    aggregate: Aggregate
    answers: int
    articles: int
    single: dict[str, float]
    label: dict[str, float]


def noise_floor(ratings: Ratings, aggregate: Aggregate) -> NoiseFloor | None:
    """The noise floor of labels made of all answers; None where no article has two answers."""
    by_oracle = [ratings.columns_of(name) for name in ratings.oracles]
    answered = np.asarray(np.isfinite(ratings.values).all(axis=2))
    counts = answered.sum(axis=1)
    twice = sum(answered[:, columns].sum(axis=1) >= 2 for columns in by_oracle)
    basis: Basis = "repeats" if np.any(twice) else "oracles"
    articles = np.count_nonzero(twice if basis == "repeats" else counts >= 2)
    single: dict[str, float] = {}
    for at, name in enumerate(ratings.dimensions):
        differences = _differences(ratings.values[:, :, at], by_oracle, basis)
        if not len(differences):
            return None
        single[name] = float(differences.mean())
    shrinks = float(np.mean([spread_of(int(k), aggregate) for k in counts[counts > 0]]))
    label = {name: value * shrinks for name, value in single.items()}
    return NoiseFloor(basis, aggregate, int(counts.max()), int(articles), single, label)


def _differences(values: Floats, by_oracle: list[list[int]], basis: Basis) -> Floats:
    """Mean pair difference of each article, within oracles or, offsets taken off, between them."""
    if basis == "oracles":
        groups = [values - _offsets(values)]
    else:
        groups = [values[:, columns] for columns in by_oracle]
    found = [_of_those_with_two(group) for group in groups]
    return np.concatenate(found)


def _offsets(values: Floats) -> Floats:
    """Each rater's mean, on the articles that all have scored if there are some: a rater that only
    scored hard ones is not thereby a strict one."""
    complete = values[np.isfinite(values).all(axis=1)]
    found: Floats = np.nanmean(complete if len(complete) else values, axis=0, keepdims=True)
    return found


def _of_those_with_two(values: Floats) -> Floats:
    return mean_pair_differences(values[np.isfinite(values).sum(axis=1) >= 2])


@lru_cache
def spread_of(answers: int, aggregate: Aggregate) -> float:
    """Standard deviation of the mean or median of so many normal answers, one answer's being 1.

    The median's is drawn (seeded, to three digits); beyond a hundred answers its limit
    sqrt(pi / 2k) is as good.
    """
    if aggregate == "mean" or answers <= 2:
        return float(answers**-0.5)
    if answers > _TOO_MANY:
        return float(np.sqrt(np.pi / 2 / answers))
    random = np.random.default_rng(answers)
    draws = random.standard_normal((_DRAWS // answers + 20_000, answers))
    return float(np.median(draws, axis=1).std())
