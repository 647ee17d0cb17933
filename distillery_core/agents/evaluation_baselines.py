"""What a student is measured against, fitted on its own training articles in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distillery_core.agents.evaluation_evidence import LearningCurve, LearningPoint
from distillery_core.dataset.manifest import Manifest
from distillery_core.dataset.rows import Example
from distillery_core.files import sha256_text
from distillery_core.filters.filter import Filter
from distillery_core.filters.text_view import student_text, text_view
from distillery_core.student import baselines
from distillery_core.student.metrics import Array, article_errors

LEARNING_SHARES = (0.25, 0.5)
_LEAST_ARTICLES = 20
"""A quarter of the training articles below which no learning curve is drawn."""


@dataclass(frozen=True)
class Splits:
    """The three splits of a dataset folder."""

    train: list[Example]
    val: list[Example]
    test: list[Example]


def labels_of(examples: Sequence[Example]) -> Array:
    """Labels of a split, float32 [articles, dimensions]."""
    return np.array([one.labels for one in examples], dtype=np.float32)


def tfidf_predictions(filter: Filter, train: Sequence[Example], splits: Splits) -> Array:
    """TF-IDF + ridge on test, trained on some or all training articles."""

    def texts(examples: Sequence[Example]) -> list[str]:
        config = filter.config.text
        return [student_text(text_view(one.title, one.content, config)) for one in examples]

    return baselines.tfidf_ridge(
        texts(train),
        labels_of(train),
        texts(splits.val),
        labels_of(splits.val),
        texts(splits.test),
    )


def source_predictions(splits: Splits) -> Array | None:
    """The median of each news source on test, where there is more than one to tell apart."""
    sources = [one.source for one in splits.train]
    if len(set(sources) - {None}) < 2:
        return None
    wanted = [one.source for one in splits.test]
    return baselines.per_source(labels_of(splits.train), sources, wanted)


def tfidf_learning_curve(
    filter: Filter, manifest: Manifest, splits: Splits, tfidf: Array
) -> LearningCurve | None:
    """What 25 %, 50 % and 100 % of the training labels give to TF-IDF + ridge.

    The shares are nested and drawn by a hash of the article's id. None for so few articles that a
    quarter of them says nothing.

    Args:
        tfidf: its predictions with all training articles.
    """
    train = sorted(splits.train, key=lambda one: sha256_text(one.id))
    if len(train) * LEARNING_SHARES[0] < _LEAST_ARTICLES:
        return None
    labels = labels_of(splits.test)
    points = []
    for share in LEARNING_SHARES:
        some = train[: round(len(train) * share)]
        predictions = tfidf_predictions(filter, some, splits)
        points.append(LearningPoint(len(some), article_errors(predictions, labels)))
    points.append(LearningPoint(len(train), article_errors(tfidf, labels)))
    rows = sum(split.rows for split in manifest.splits.values())
    return LearningCurve("TF-IDF + ridge", tuple(points), rows, _label_cost(manifest))


def _label_cost(manifest: Manifest) -> float | None:
    """US dollars for one label, of the labels whose cost is known; None where none is."""
    known = sum(split.rows for split in manifest.splits.values()) - manifest.cost.rows_without_cost
    return manifest.cost.usd / known if known > 0 and manifest.cost.usd > 0 else None
