"""Predictions of a student for the evaluation: as deployed, and as the checkpoint itself scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from distillery_core.agents.evaluation_evidence import Speed
from distillery_core.dataset.rows import Example
from distillery_core.errors import CheckFailed
from distillery_core.student.measures.metrics import Array

if TYPE_CHECKING:
    from distillery_core.student.predict import Student

_LATENCY_ARTICLES = 20


@dataclass(frozen=True)
class Scores:
    """Scores of articles, float32 [articles, dimensions], and what they took.

    Attributes:
        deployed: with the model's score calibration, where it has one.
        own: the checkpoint's own; None where there is no calibration.
    """

    deployed: Array
    own: Array | None
    seconds: float


def predicted_scores(
    student: Student, examples: Sequence[Example], threads: int | None = None
) -> Scores:
    """Score articles.

    Raises:
        CheckFailed: the model gives something that is not a number.
    """
    from distillery_core.student.predict import predict

    started = time.perf_counter()
    own = predict(student, examples, threads=threads, calibrated=False).values
    seconds = time.perf_counter() - started
    _refuse_bad(own, examples)
    calibration = student.calibration
    if calibration is None or calibration.map is None:
        return Scores(own, None, seconds)
    return Scores(calibration.apply(own), own, seconds)


def _refuse_bad(values: Array, examples: Sequence[Example]) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        ids = [examples[int(row)].id for row in bad[:5]]
        raise CheckFailed(
            f"the model's prediction is not a number for {len(bad)} articles",
            reasons=[f"for example {', '.join(ids)}"],
            hint="train again, in float32",
        )


def measure_speed(
    student: Student, examples: Sequence[Example], seconds: float, threads: int | None
) -> Speed:
    """Latency as the median over single articles, throughput over the whole test split.

    Args:
        seconds: what the whole split took.
    """
    from distillery_core.student.computing.device import describe, pick_threads
    from distillery_core.student.predict import predict

    times = []
    for one in examples[:_LATENCY_ARTICLES]:
        started = time.perf_counter()
        predict(student, [one], threads=threads)
        times.append(time.perf_counter() - started)
    return Speed(
        device=describe(student.device),
        latency_s=round(median(times), 6),
        articles_per_s=round(len(examples) / max(seconds, 1e-9), 6),
        threads=pick_threads(threads),
    )
