"""Calibration of a student's scores after training: monotone maps, and intervals with coverage.

A regression head shrinks towards the middle, or strays from it. A straight line through the
validation articles undoes most of it; where isotonic regression (Zadrozny and Elkan 2002) does
better beyond chance, it is taken instead. It is centred (Oron and Flournoy 2017): straight lines
between the middles of its steps, so that articles keep their order (docs/decisions/0016). Intervals
are split conformal (Lei et al. 2018): the quantile of absolute residuals that no article took part
in fitting.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from distillery_core.errors import UserError
from distillery_core.student.measures.bootstrap import Interval, paired_bootstrap
from distillery_core.student.measures.metrics import Array, article_errors
from distillery_core.types import SCORE_MAX, SCORE_MIN

CALIBRATION = "score_calibration.json"
MIN_ROWS = 200
"""Validation articles that maps need (criteria, model evaluation)."""
MIN_INTERVAL_ROWS = 50
"""Fewer give intervals whose true coverage strays by more than 4 points (a Beta distribution)."""
COVERAGE = 0.9
FOLDS = 5
_SEED = 0

MapKind = Literal["line", "isotonic"]


class DimensionCalibration(BaseModel):
    """One dimension: knots of its map (both rising, 0-10) and the half width of its interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scores: tuple[float, ...] = ()
    calibrated: tuple[float, ...] = ()
    half_width: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _is_a_map(self) -> DimensionCalibration:
        rising = all(a <= b for a, b in zip(self.scores, self.scores[1:], strict=False))
        if not rising or len(self.scores) != len(self.calibrated):
            raise ValueError("scores must rise, with one calibrated value each")
        return self

    @property
    def is_level(self) -> bool:
        """Whether its map gives every score one and the same value."""
        return len(set(self.calibrated)) == 1


Maps = Mapping[str, DimensionCalibration]


class ScoreCalibration(BaseModel):
    """What `score_calibration.json` in a model folder holds.

    Attributes:
        rows: validation articles that it was made from.
        map: what is applied to scores, None for nothing: only what helps beyond chance.
        mae: validation MAE as the model scores; `calibrated_mae` is cross-fitted.
        gain: `calibrated_mae - mae` with its 95 % paired bootstrap interval; None below MIN_ROWS.
        coverage: share of labels that an interval is to hold.
        reason: why the maps are applied or not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[2] = 2
    rows: int
    map: MapKind | None
    mae: float
    calibrated_mae: float | None = None
    gain: tuple[float, float, float] | None = None
    coverage: float = COVERAGE
    reason: str
    dimensions: dict[str, DimensionCalibration]

    def apply(self, scores: Array) -> Array:
        """Calibrated scores, float32 [articles, dimensions]; NaN stays NaN."""
        if self.map is None:
            return scores
        return _mapped(scores, self.dimensions)

    @property
    def has_intervals(self) -> bool:
        """Whether there were enough articles for them."""
        return all(one.half_width is not None for one in self.dimensions.values())

    def intervals(self, scores: Array) -> tuple[Array, Array] | None:
        """Lower and upper ends around calibrated scores, within 0-10; None where there are none."""
        if not self.has_intervals:
            return None
        half = np.array([one.half_width for one in self.dimensions.values()], dtype=np.float32)
        return (
            np.clip(scores - half, SCORE_MIN, SCORE_MAX),
            np.clip(scores + half, SCORE_MIN, SCORE_MAX),
        )


def fit_calibration(
    scores: Array,
    labels: Array,
    dimensions: Sequence[str],
    groups: Sequence[object] | None = None,
    finding: Finding | None = None,
) -> ScoreCalibration:
    """Fit maps and intervals on validation articles.

    Args:
        scores, labels: [articles, dimensions], 0-10, finite; the scores of the kept checkpoint.
        groups: near-duplicates, which stay on one side of every fold.
        finding: where finding counts for more than the error: how much better one set of scores
            finds than another. Maps that find worse beyond chance are not kept; those of the
            dimensions bend differently, and so move what is weighed together.
    """
    rows = len(scores)
    error = float(article_errors(scores, labels).mean())
    if rows < MIN_ROWS:
        reason = f"{rows} validation articles, maps need {MIN_ROWS}"
        return _without_maps(scores, labels, dimensions, error, reason)
    kind, held_out = _better_map(scores, labels, groups)
    gain = paired_bootstrap(
        article_errors(held_out, labels), article_errors(scores, labels), groups
    )
    widths = dict(zip(dimensions, _half_widths(held_out, labels), strict=True))
    reason, maps = f"validation MAE {_change(gain)}", _maps(kind, scores, labels, widths)
    after = {"calibrated_mae": error + gain.value, "gain": (gain.value, gain.low, gain.high)}
    lost = "no gain beyond chance" if gain.high >= 0 else _found_worse(finding, held_out, scores)
    if lost:
        plain = _without_maps(scores, labels, dimensions, error, f"{reason}: {lost}")
        return plain.model_copy(update=after)
    return ScoreCalibration(
        rows=rows,
        map=kind,
        mae=error,
        reason=f"{reason}{_levelled(maps)}",
        dimensions=maps,
    ).model_copy(update=after)


def read_calibration(folder: Path, dimensions: Sequence[str]) -> ScoreCalibration | None:
    """The calibration of a model folder, None where it has none.

    Raises:
        UserError: the file is not understood, or is for other dimensions.
    """
    path = folder / CALIBRATION
    if not path.is_file():
        return None
    try:
        found = ScoreCalibration.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"not a score calibration: {first}", where=path) from None
    if tuple(found.dimensions) != tuple(dimensions):
        raise UserError("is for other dimensions than the model", where=path)
    return found


def _mapped(scores: Array, maps: Maps) -> Array:
    columns = [
        np.interp(scores[:, at], one.scores, one.calibrated) for at, one in enumerate(maps.values())
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def coverage_of(low: Array, high: Array, labels: Array) -> list[float]:
    """Share of labels within the intervals, a number for each dimension."""
    inside = (labels >= low) & (labels <= high)
    return [float(share) for share in inside.mean(axis=0)]


def _without_maps(
    scores: Array, labels: Array, dimensions: Sequence[str], error: float, reason: str
) -> ScoreCalibration:
    widths = _half_widths(scores, labels)
    return ScoreCalibration(
        rows=len(scores),
        map=None,
        mae=error,
        reason=reason,
        dimensions={
            name: DimensionCalibration(half_width=widths[at]) for at, name in enumerate(dimensions)
        },
    )


def _better_map(
    scores: Array, labels: Array, groups: Sequence[object] | None
) -> tuple[MapKind, Array]:
    """The line, unless isotonic maps have less error beyond chance; and cross-fitted scores."""
    line, isotonic = (_cross_fitted(scores, labels, groups, fit) for fit in _FITS.values())
    gain = paired_bootstrap(article_errors(isotonic, labels), article_errors(line, labels), groups)
    return ("isotonic", isotonic) if gain.high < 0 else ("line", line)


def _cross_fitted(scores: Array, labels: Array, groups: Sequence[object] | None, fit: Fit) -> Array:
    """Scores mapped by what the other folds taught, [articles, dimensions]."""
    fold_of = _folds(len(scores), groups)
    mapped = np.empty_like(scores)
    for fold in range(FOLDS):
        held = fold_of == fold
        for at in range(scores.shape[1]):
            taught = fit(scores[~held, at], labels[~held, at])
            mapped[held, at] = np.interp(scores[held, at], *taught)
    return mapped


def _folds(rows: int, groups: Sequence[object] | None) -> Array:
    keys = list(groups) if groups is not None else list(range(rows))
    units = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    shuffled = np.random.default_rng(_SEED).permutation(len(units)) % FOLDS
    return np.array([shuffled[units[key]] for key in keys])


def _line(scores: Array, labels: Array) -> tuple[Array, Array]:
    """Knots of the line nearest to the labels in squared error, where it enters and leaves 0-10; a
    line that would fall is level."""
    middle, height = float(scores.mean()), float(labels.mean())
    spread = float(np.square(scores - middle).sum())
    slope = float(((scores - middle) * (labels - height)).sum()) / spread if spread else 0.0
    if slope <= 0:
        return np.array([middle]), np.array([height])
    ends = middle + (np.array([SCORE_MIN, SCORE_MAX]) - height) / slope
    knots = np.clip(ends, SCORE_MIN, SCORE_MAX)
    return knots, np.clip(height + slope * (knots - middle), SCORE_MIN, SCORE_MAX)


def _isotonic(scores: Array, labels: Array) -> tuple[Array, Array]:
    """Knots: the middles of the steps of the rising function nearest to the labels in squared
    error. A score beyond the outer knots gets their value."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=SCORE_MIN, y_max=SCORE_MAX, out_of_bounds="clip").fit(
        scores.astype(np.float64), labels.astype(np.float64)
    )
    steps, step_of = np.unique(fitted.predict(scores), return_inverse=True)
    middles = np.bincount(step_of, weights=scores) / np.bincount(step_of)
    return middles, steps


Finding = Callable[[Array, Array], Interval | None]
"""Average precision of the first scores minus the second's, both [articles, dimensions]; None where
there is nothing to find."""

Fit = Callable[[Array, Array], tuple[Array, Array]]
_FITS: dict[MapKind, Fit] = {"line": _line, "isotonic": _isotonic}
"""Scores and labels of a dimension in, knots and values out; the simpler one first."""


def _maps(
    kind: MapKind, scores: Array, labels: Array, widths: Mapping[str, float | None]
) -> dict[str, DimensionCalibration]:
    maps = {}
    for at, (name, width) in enumerate(widths.items()):
        knots, values = (
            tuple(round(float(one), 6) for one in ends)
            for ends in _FITS[kind](scores[:, at], labels[:, at])
        )
        maps[name] = DimensionCalibration(scores=knots, calibrated=values, half_width=width)
    return maps


def _half_widths(scores: Array, labels: Array) -> list[float | None]:
    """The conformal quantile of each dimension: the ceil((n + 1) * coverage)-th residual."""
    rows = len(scores)
    if rows < MIN_INTERVAL_ROWS:
        return [None] * scores.shape[1]
    rank = int(np.ceil((rows + 1) * COVERAGE))
    residuals = np.sort(np.abs(labels - scores), axis=0)
    return [round(float(value), 6) for value in residuals[rank - 1]]


def _found_worse(finding: Finding | None, mapped: Array, own: Array) -> str:
    change = finding(mapped, own) if finding else None
    if change is None or change.high >= 0:
        return ""
    return f"but what is looked for would rank lower, average precision {_change(change)}"


def _levelled(maps: Maps) -> str:
    """Of what a reader would otherwise take for scores of each article."""
    names = [name for name, one in maps.items() if one.is_level]
    if not names:
        return ""
    return (
        f"; every article gets one and the same score in {', '.join(names)}, "
        "where scores did not rise with the labels"
    )


def _change(gain: Interval) -> str:
    return f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}), cross-fitted"
