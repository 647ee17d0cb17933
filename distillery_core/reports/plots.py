"""Plots of a model's evaluation as PNG files; the same numbers give the same bytes.

Drawn on a canvas of their own: no window system, no global state of pyplot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distillery_core.files import atomic_write
from distillery_core.types import SCORE_MAX, SCORE_MIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]

DPI = 110
BLUE, ORANGE, GREY = "#2f6690", "#d1742c", "#9aa5b1"
_COLUMNS = 4
_JITTER = 0.12


def predicted_vs_labelled(
    path: Path, predictions: Array, labels: Array, dimensions: Sequence[str]
) -> None:
    """One small scatter per dimension: labels on x, predictions on y, the diagonal is perfect.

    Args:
        predictions, labels: [articles, dimensions], 0-10.
    """
    rows = -(-len(dimensions) // _COLUMNS)
    columns = -(-len(dimensions) // rows)
    shift = np.random.default_rng(0).uniform(-_JITTER, _JITTER, size=labels.shape)

    def draw(axes: Sequence[Axes]) -> None:
        for at, name in enumerate(dimensions):
            axis = axes[at]
            axis.plot([SCORE_MIN, SCORE_MAX], [SCORE_MIN, SCORE_MAX], color=GREY, linewidth=1)
            axis.scatter(
                labels[:, at] + shift[:, at], predictions[:, at], s=7, alpha=0.45, color=BLUE
            )
            axis.set(title=name, xlim=(-0.4, 10.4), ylim=(-0.4, 10.4), aspect="equal")
        for axis in axes[len(dimensions) :]:
            axis.set_visible(False)
        axes[0].set(xlabel="label", ylabel="prediction")

    figure(path, draw, rows, columns, (2.5 * columns, 2.6 * rows))


def dimension_errors(
    path: Path, dimensions: Sequence[str], errors: Mapping[str, Sequence[float]]
) -> None:
    """Horizontal bars: MAE per dimension for each of several predictors.

    Args:
        errors: predictor -> MAE per dimension, in the dimensions' order; the first is the student.
    """
    colours = (BLUE, ORANGE, GREY)
    height = 0.8 / max(len(errors), 1)

    def draw(axes: Sequence[Axes]) -> None:
        [axis] = axes
        places = np.arange(len(dimensions))
        for at, (name, values) in enumerate(errors.items()):
            colour = colours[at % len(colours)]
            axis.barh(places + at * height, values, height, label=name, color=colour)
        axis.set_yticks(places + height * (len(errors) - 1) / 2, labels=list(dimensions))
        axis.invert_yaxis()
        axis.set(xlabel="mean absolute error (points of 0-10)")
        axis.legend(frameon=False, fontsize=8)

    figure(path, draw, 1, 1, (7.0, 0.9 + 0.55 * len(dimensions)))


def reliability(path: Path, bins: Sequence[tuple[float, float, int]]) -> None:
    """Mean label against mean prediction by band of prediction, with how many scores each holds.

    Args:
        bins: (mean prediction, mean label, scores), means 0-10; on the diagonal they agree.
    """

    def draw(axes: Sequence[Axes]) -> None:
        [axis] = axes
        axis.plot([SCORE_MIN, SCORE_MAX], [SCORE_MIN, SCORE_MAX], color=GREY, linewidth=1)
        predicted, labelled = [one[0] for one in bins], [one[1] for one in bins]
        axis.plot(predicted, labelled, marker="o", color=BLUE)
        for x, y, n in bins:
            axis.annotate(f"{n}", (x, y), (6, -10), textcoords="offset points", fontsize=8)
        limits = (-0.4, 10.4)
        axis.set(xlabel="mean prediction", ylabel="mean label", xlim=limits, ylim=limits)
        axis.set_aspect("equal")

    figure(path, draw, 1, 1, (3.6, 3.6))


def epochs(path: Path, train: Sequence[float], val: Sequence[float], kept: int) -> None:
    """Train and validation MAE by epoch; the kept epoch (1-based) is marked."""

    def draw(axes: Sequence[Axes]) -> None:
        [axis] = axes
        numbers = range(1, len(val) + 1)
        axis.plot(numbers, train, marker="o", color=GREY, label="train")
        axis.plot(numbers, val, marker="o", color=BLUE, label="validation")
        axis.axvline(kept, color=ORANGE, linewidth=1, linestyle="--", label="kept")
        axis.set(xlabel="epoch", ylabel="MAE", xticks=list(numbers))
        axis.legend(frameon=False, fontsize=8)

    figure(path, draw, 1, 1, (5.5, 3.2))


def figure(
    path: Path,
    draw: Callable[[Sequence[Axes]], None],
    rows: int,
    columns: int,
    inches: tuple[float, float],
) -> None:
    """Draw a grid of axes and write it as PNG; the same drawing gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    draw(list(axes.flat))
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    with atomic_write(path, "wb") as handle:
        # No Software entry: it names matplotlib's version and would change the bytes.
        figure.savefig(handle, format="png", metadata={"Software": None})
