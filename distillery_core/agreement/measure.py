"""Measures a set of ratings: each rater against the others, all together, each against itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from distillery_core.agreement.coefficients import Coefficients, coefficients
from distillery_core.agreement.combining import Aggregate
from distillery_core.agreement.noise_floor import NoiseFloor, noise_floor
from distillery_core.agreement.paired import Paired, compare
from distillery_core.agreement.ratings import Floats, Ratings
from distillery_core.agreement.repeated import Repeated, repeated
from distillery_core.agreement.resampling import RESAMPLES

_DIGITS = 6


@dataclass(frozen=True)
class Agreement:
    """What was measured of a set of ratings, by dimension.

    Attributes:
        raters: rater -> articles it gave a valid answer for.
        reference: the rater the others are compared with; None: each with the mean of the others.
        paired: dimension -> rater -> against the reference.
        together: dimension -> coefficients over all raters (the reference too).
        repeats: dimension -> oracle -> against itself; oracles asked once are not in it.
        floor: the noise floor of labels made of all answers, if it can be known.
    """

    articles: int
    dimensions: tuple[str, ...]
    raters: Mapping[str, int]
    reference: str | None
    paired: Mapping[str, Mapping[str, Paired]]
    together: Mapping[str, Coefficients]
    repeats: Mapping[str, Mapping[str, Repeated]]
    floor: NoiseFloor | None

    def to_json(self) -> dict[str, Any]:
        """Plain values; null where a number is not defined."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def measure(
    ratings: Ratings,
    *,
    reference: str | None = None,
    aggregate: Aggregate = "median",
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Agreement:
    """Measure everything.

    Args:
        reference: a rater's name, such as a person; without one each rater is compared with the
            mean of the others (its own answer would make it look better than it is).

    Raises:
        ValueError: fewer than two raters, or no rater of that name.
    """
    names = [rater.name for rater in ratings.raters]
    if len(names) < 2:
        raise ValueError("agreement needs two raters or more")
    if reference is not None and reference not in names:
        raise ValueError(f"no rater {reference!r}; there are {', '.join(names)}")
    how = {"seed": seed, "resamples": resamples}
    answered = np.isfinite(ratings.values).all(axis=2).sum(axis=0)
    several = [name for name in ratings.oracles if len(ratings.columns_of(name)) > 1]
    return Agreement(
        articles=len(ratings.articles),
        dimensions=ratings.dimensions,
        raters=dict(zip(names, answered.tolist(), strict=True)),
        reference=reference,
        paired={
            dimension: {
                name: compare(ratings.of(dimension)[:, at], against, **how)
                for at, name in enumerate(names)
                if name != reference
                for against in [_against(ratings.of(dimension), at, names, reference)]
            }
            for dimension in ratings.dimensions
        },
        together={name: coefficients(ratings.of(name), **how) for name in ratings.dimensions},
        repeats={
            dimension: {
                oracle: repeated(ratings.of(dimension)[:, ratings.columns_of(oracle)], **how)
                for oracle in several
            }
            for dimension in ratings.dimensions
        },
        floor=noise_floor(ratings, aggregate),
    )


def _against(values: Floats, at: int, names: list[str], reference: str | None) -> Floats:
    """The reference's scores, or the mean of all others that are there; shape (articles,)."""
    if reference is not None:
        return values[:, names.index(reference)]
    others = np.delete(values, at, axis=1)
    there = np.isfinite(others)
    counts = there.sum(axis=1)
    sums = np.where(there, others, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, _DIGITS) if math.isfinite(value) else None
    return value
