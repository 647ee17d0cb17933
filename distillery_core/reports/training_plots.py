"""Plots of a training run as PNG files: how it went, and how its model scores the test articles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distillery_core.reports import plots
from distillery_core.reports.formatting import counted, fixed
from distillery_core.reports.plots import BLUE, GREY, ORANGE, figure
from distillery_core.reports.record import Record
from distillery_core.reports.training_record import Training
from distillery_core.reports.views import Band, ReliabilityBin, bands_of, points_of, reliability_of
from distillery_core.student.selection import KEYS, WORDS
from distillery_core.types import SCORE_MAX, SCORE_MIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 4
_MAX_TICKS = 10
_POINTS = "points of 0-10"
_ERRORS = ("MAE", "RMSE")
_UP_TO_ONE = {KEYS["spearman"], KEYS["recall"]}
_HEADROOM = 0.08
"""Share of a panel's height that stays free, so that no marker is cut."""
_SPLITS = {"train": (GREY, "training"), "val": (BLUE, "validation")}


OF_TRAINING = ("overall_metrics.png", "per_dimension_mae.png", "loss_curves.png")
OF_TEST = ("predicted_vs_labelled.png", "error_per_band.png", "calibration_curve.png")
"""Every plot that there may be."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot that was written.

    Attributes:
        name: its file's name.
        caption: what it shows, one sentence.
        words: the same for somebody who does not see it, with its numbers.
        panels: side by side.
    """

    name: str
    caption: str
    words: str
    panels: int = 1


def write_training_plots(folder: Path, training: Training, record: Record | None) -> list[Plot]:
    """Write every plot that there are numbers for.

    Args:
        record: of the evaluation of this very model; None where there is none.
    """
    found = [
        _overall_metrics(folder, training),
        _per_dimension(folder, training),
        _loss_curves(folder, training),
        *(_of_test(folder, record) if record else ()),
    ]
    return [one for one in found if one is not None]


def _overall_metrics(folder: Path, training: Training) -> Plot:
    """MAE and RMSE, and beside them what the kept epoch was chosen by."""
    by = training.chosen_by
    shown = {"mae": "MAE", "rmse": "RMSE", KEYS[by]: WORDS[by]}
    names = {key: word for key, word in shown.items() if training.course("val", key)}

    def draw(axes: Sequence[Axes]) -> None:
        for axis, (key, word) in zip(axes, names.items(), strict=True):
            _course(axis, training, key, f"{word} ({_POINTS})" if word in _ERRORS else word)
            axis.set_title(word[:1].upper() + word[1:])

    *first, last = names.values()
    words = f"{', '.join(first)} and {last}" if first else last
    chosen = f" for its validation {WORDS[by]}" if by != "mae" else ""
    plot = Plot(
        "overall_metrics.png",
        f"{words} by epoch{_which(training)}{chosen if len(training.epochs) > 1 else ''}.",
        "; ".join(_told(training, key, word) for key, word in names.items()),
        panels=len(names),
    )
    figure(folder / plot.name, draw, 1, len(names), (3.1 * len(names), 3.0))
    return plot


def _which(training: Training) -> str:
    """Of one epoch there was nothing to choose."""
    return f"; epoch {training.kept} was kept" if len(training.epochs) > 1 else ""


def _loss_curves(folder: Path, training: Training) -> Plot | None:
    if training.course("val", "loss") is None:
        return None
    plot = Plot(
        "loss_curves.png",
        f"Loss by epoch, on training and validation articles{_which(training)}.",
        _told(training, "loss", "loss"),
    )

    def draw(axis: Axes) -> None:
        _course(axis, training, "loss", "loss (mean squared error)")

    return _one_panel(folder, plot, draw, (5.5, 3.2))


def _per_dimension(folder: Path, training: Training) -> Plot | None:
    names = [name for name in training.dimensions if training.course("val", f"{name}_mae")]
    if not names:
        return None
    rows = -(-len(names) // _COLUMNS)
    columns = -(-len(names) // rows)
    limits = _limits(training, *(f"{name}_mae" for name in names))

    def draw(axes: Sequence[Axes]) -> None:
        for at, name in enumerate(names):
            label = "MAE" if at % columns == 0 else ""
            _course(axes[at], training, f"{name}_mae", label, legend=at == 0)
            axes[at].set_title(name, fontsize=9)
            axes[at].set_ylim(limits)
        for axis in axes[len(names) :]:
            axis.set_axis_off()

    plot = Plot(
        "per_dimension_mae.png",
        "MAE of each dimension by epoch, all on one scale.",
        "; ".join(_told(training, f"{name}_mae", name) for name in names),
    )
    figure(folder / plot.name, draw, rows, columns, (2.6 * columns, 2.5 * rows))
    return plot


def _one_panel(
    folder: Path, plot: Plot, draw: Callable[[Axes], None], size: tuple[float, float]
) -> Plot:
    figure(folder / plot.name, lambda axes: draw(axes[0]), 1, 1, size)
    return plot


def _course(axis: Axes, training: Training, key: str, label: str, *, legend: bool = True) -> None:
    """Training and validation by epoch, the kept epoch marked."""
    numbers = [epoch.epoch for epoch in training.epochs]
    for split, (colour, word) in _SPLITS.items():
        values = training.course(split, key)
        if values is not None:
            axis.plot(numbers, values, marker="o", markersize=4, color=colour, label=word)
    kept = training.kept_epoch.epoch
    axis.axvline(kept, color=ORANGE, linewidth=1, linestyle="--", label="kept")
    step = -(-len(numbers) // _MAX_TICKS)
    axis.set(xlabel="epoch", ylabel=label, xticks=numbers[::step])
    axis.set_ylim(_limits(training, key))
    if legend:
        axis.legend(frameon=False, fontsize=8)


def _limits(training: Training, *keys: str) -> tuple[float, float]:
    """From 0, or from below it where a value is, to above the highest; up to 1 what ends there."""
    courses = [training.course(split, key) for split in _SPLITS for key in keys]
    values = np.concatenate([course for course in courses if course])
    low, high = min(float(np.nanmin(values)), 0.0), float(np.nanmax(values))
    high = max(high, 1.0) if _UP_TO_ONE.issuperset(keys) else high
    free = _HEADROOM * (high - low or 1.0)
    return low - free if np.nanmin(values) <= 0 else 0.0, high + free


def _told(training: Training, key: str, word: str) -> str:
    """`training MAE from 1.31 to 0.36, validation MAE from 1.45 to 1.03`."""
    parts = []
    for split, (_, name) in _SPLITS.items():
        values = training.course(split, key)
        if values is not None:
            parts.append(f"{name} {word} from {fixed(values[0])} to {fixed(values[-1])}")
    return ", ".join(parts)


def _of_test(folder: Path, record: Record) -> list[Plot | None]:
    return [_predicted(folder, record), _bands(folder, record), _calibration(folder, record)]


def _predicted(folder: Path, record: Record) -> Plot | None:
    points = points_of(record)
    if points is None or not len(points):
        return None
    plot = Plot(
        "predicted_vs_labelled.png",
        f"Predicted against labelled scores of {len(points)} test articles; on the line they "
        "agree. Labels are spread a little sideways so that equal ones can be told apart.",
        f"One panel for each of {', '.join(points.dimensions)}",
    )
    plots.predicted_vs_labelled(
        folder / plot.name,
        np.asarray(points.predictions),
        np.asarray(points.labels),
        points.dimensions,
    )
    return plot


def _bands(folder: Path, record: Record) -> Plot | None:
    bands = [band for band in bands_of(record) if band.n and band.mae is not None]
    if not bands:
        return None
    plot = Plot(
        "error_per_band.png",
        "Error by the band that the oracle's label lies in: mean absolute error, and bias (above 0 "
        "the model scores too high).",
        "; ".join(
            f"band {band.band}: MAE {fixed(band.mae)}, bias {fixed(band.bias)}, "
            f"{counted(band.n, 'score')}"
            for band in bands
        ),
    )
    return _one_panel(folder, plot, lambda axis: _band_bars(axis, bands), (6.0, 3.2))


def _band_bars(axis: Axes, bands: Sequence[Band]) -> None:
    places = np.arange(len(bands))
    shown: Mapping[str, tuple[str, list[float]]] = {
        "MAE": (BLUE, [band.mae or 0.0 for band in bands]),
        "bias": (ORANGE, [band.bias or 0.0 for band in bands]),
    }
    for at, (word, (colour, values)) in enumerate(shown.items()):
        axis.bar(places + 0.4 * at - 0.2, values, 0.38, label=word, color=colour)
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.set_xticks(places, labels=[f"{band.band}\nn = {band.n}" for band in bands])
    axis.set(xlabel="label of the oracle", ylabel=f"error ({_POINTS})")
    axis.legend(frameon=False, fontsize=8)


def _calibration(folder: Path, record: Record) -> Plot | None:
    bins = [one for one in reliability_of(record) if one.n]
    if not bins:
        return None
    plot = Plot(
        "calibration_curve.png",
        "Calibration: what the oracle gave, on average, to scores that the model predicted in a "
        "band. Below the line the model scores too high.",
        "; ".join(
            f"predicted {fixed(one.predicted)}, labelled {fixed(one.labelled)} "
            f"({counted(one.n, 'score')})"
            for one in bins
        ),
    )
    return _one_panel(folder, plot, lambda axis: _reliability(axis, bins), (4.4, 4.0))


def _reliability(axis: Axes, bins: Sequence[ReliabilityBin]) -> None:
    axis.plot([SCORE_MIN, SCORE_MAX], [SCORE_MIN, SCORE_MAX], color=GREY, linewidth=1)
    across, up = [one.predicted for one in bins], [one.labelled for one in bins]
    axis.plot(across, up, marker="o", color=BLUE)  # type: ignore[arg-type]
    for one in bins:
        axis.annotate(
            f"n = {one.n}",
            (one.predicted or 0.0, one.labelled or 0.0),
            textcoords="offset points",
            xytext=(7, -9),
            fontsize=8,
        )
    axis.set(xlabel="predicted", ylabel="labelled", xlim=(0, 10), ylim=(0, 10), aspect="equal")
