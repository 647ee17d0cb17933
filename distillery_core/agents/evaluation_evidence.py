"""What a model is judged from, as plain values: predictions, baselines, history, records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from distillery_core.filters.filter import Filter
from distillery_core.filters.score_rules import overall
from distillery_core.student.metrics import Array

RecordGrade = Literal[0, 1, 2]


@dataclass(frozen=True)
class Predicted:
    """One split with the model's predictions.

    Attributes:
        labels, predictions: float [articles, dimensions], 0-10; the predictions are those that
            get deployed (score calibration applied where the model has one).
        uncalibrated: the same checkpoint's own scores; None where there is no calibration.
    """

    labels: Array
    predictions: Array
    uncalibrated: Array | None = None

    @property
    def raw(self) -> Array:
        """Predictions before score calibration."""
        return self.predictions if self.uncalibrated is None else self.uncalibrated

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class TestArticle:
    """A test article as the report names it; scores are overall scores, 0-10."""

    __test__ = False  # no test class, whatever its name

    id: str
    title: str
    labelled: float
    predicted: float
    error: float


@dataclass(frozen=True)
class Baseline:
    """A simple predictor on the test split, [articles, dimensions]."""

    name: str
    predictions: Array


@dataclass(frozen=True)
class RecordCheck:
    """Whether the training record fits model, data and filter.

    `grade`: 0 all agree, 1 model name and parameter count disagree, 2 a hash differs.
    """

    grade: RecordGrade
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Speed:
    """Measured on this machine; seconds and articles a second."""

    device: str
    latency_s: float
    articles_per_s: float
    threads: int | None = None


@dataclass(frozen=True)
class Incumbent:
    """The version in use now, on test articles that neither version was trained on.

    `rows` (indices) picks them out of the test split; `predictions` is [rows, dimensions],
    `overall` its overall scores after rules, [rows].
    """

    name: str
    rows: Array
    predictions: Array
    overall: Array


@dataclass(frozen=True)
class EvaluationEvidence:
    """Everything a verdict on a model is made from.

    Attributes:
        val, test: splits with predictions.
        overall, labelled_overall: overall scores after rules of the test articles, [articles].
        constant: the per-dimension median of the training labels, on test.
        tfidf: TF-IDF + ridge trained on the same split, on test.
        tfidf_overall: its overall scores after rules, [articles].
        further: more baselines, printed only.
        epochs: training_history.json.
        metadata: training_metadata.json.
        leaking: test articles found in train or validation, recomputed from the files.
        leak_note: what that was compared with.
        dataset_grade: 0 PASS, 1 REVIEW, 2 FAIL of the dataset's QA.
        dataset_lines: titles of its lines that are not in order.
        kind, kind_reason: general or needle, and why.
        noise_floor: mean absolute difference per dimension between repeated oracle answers.
        articles: the test articles with their overall scores.
        hashes: evidence for the gate.
    """

    dimensions: tuple[str, ...]
    val: Predicted
    test: Predicted
    overall: Array
    labelled_overall: Array
    constant: Array
    tfidf: Array
    tfidf_overall: Array
    epochs: Sequence[Mapping[str, Any]]
    metadata: Mapping[str, Any]
    record: RecordCheck
    leaking: int
    dataset_grade: int
    kind: Literal["general", "needle"]
    kind_reason: str
    hashes: Mapping[str, str]
    date: str
    leak_note: str = ""
    dataset_lines: tuple[str, ...] = ()
    noise_floor: Mapping[str, float] | None = None
    articles: tuple[TestArticle, ...] = ()
    further: tuple[Baseline, ...] = ()
    speed: Speed | None = None
    incumbent: Incumbent | None = None
    size_bytes: int | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def kept_epoch(self) -> int:
        """The epoch (1-based) whose checkpoint was kept: the lowest validation MAE."""
        errors = self.val_errors
        return errors.index(min(errors)) + 1

    @property
    def val_errors(self) -> list[float]:
        """Validation MAE by epoch."""
        return [float(epoch["val"]["mae"]) for epoch in self.epochs]

    @property
    def train_errors(self) -> list[float]:
        """Train MAE by epoch, in evaluation mode."""
        return [float(epoch["train"]["mae"]) for epoch in self.epochs]


def overall_scores(filter: Filter, scores: Array, texts: Sequence[str]) -> Array:
    """Overall scores after rules of many articles, float64 [articles].

    Args:
        scores: [articles, dimensions] in the filter's order.
        texts: title and content of each, which caps and penalties search.
    """
    names = filter.dimensions
    return np.array(
        [
            overall(filter, dict(zip(names, map(float, row), strict=True)), text).value
            for row, text in zip(scores, texts, strict=True)
        ],
        dtype=np.float64,
    )
