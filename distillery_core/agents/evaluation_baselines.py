"""What a student is measured against, fitted on its own training articles in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distillery_core.agents.evaluation_evidence import LearningCurve, LearningPoint
from distillery_core.dataset.manifest import Manifest
from distillery_core.dataset.rows import Example
from distillery_core.errors import UserError
from distillery_core.files import sha256_text
from distillery_core.filters.filter import Filter
from distillery_core.filters.text_view import student_text, text_view
from distillery_core.student.frozen.untrained import BaseFeatures, base_features
from distillery_core.student.measures import baselines
from distillery_core.student.measures.metrics import Array, article_errors
from distillery_core.student.settings import TrainSettings

LEARNING_SHARES = (0.25, 0.5)
_LEAST_ARTICLES = 20
"""A quarter of the training articles below which no learning curve is drawn."""


TFIDF = "TF-IDF + ridge"
EMBEDDINGS = "frozen embeddings + ridge"


@dataclass(frozen=True)
class Embedded:
    """Features of the student's base, and what a ridge on all of them predicts for test."""

    features: BaseFeatures
    predictions: Array


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


def embedded(
    filter: Filter, metadata: Mapping[str, Any], splits: Splits, cache_dir: Path | None
) -> Embedded | None:
    """The student's own base, untrained, under a ridge; None where no run left its features.

    Args:
        metadata: the training record, which names base, length and seed.
    """
    settings = _base_settings(metadata)
    if cache_dir is None or settings is None:
        return None
    every = (splits.train, splits.val, splits.test)
    found = base_features(filter, settings, *every, str(cache_dir))
    return None if found is None else Embedded(found, embedding_predictions(found, splits))


def _base_settings(metadata: Mapping[str, Any]) -> TrainSettings | None:
    asked = metadata.get("settings")
    known = asked if isinstance(asked, Mapping) else {}
    wanted = ("model_name", "max_length", "seed")
    given: dict[str, Any] = {name: known[name] for name in wanted if name in known}
    pooling = known.get("pooling", "first")  # records from before there was a choice
    try:
        return TrainSettings(**given, pooling=pooling) if len(given) == len(wanted) else None
    except (UserError, TypeError):
        return None


def embedding_predictions(
    features: BaseFeatures, splits: Splits, some: Sequence[int] | None = None
) -> Array:
    """Frozen embeddings + ridge on test, trained on all training articles or on some, by row."""
    rows = slice(None) if some is None else list(some)
    return baselines.ridge(
        features.train[rows],
        labels_of(splits.train)[rows],
        features.val,
        labels_of(splits.val),
        features.test,
    )


def learning_curve(
    filter: Filter, manifest: Manifest, splits: Splits, tfidf: Array, base: Embedded | None
) -> LearningCurve | None:
    """What 25 %, 50 % and 100 % of the training labels give to a baseline.

    To frozen embeddings + ridge where there are any, which are nearer to the student; else to
    TF-IDF + ridge. The shares are nested and drawn by a hash of the article's id. None for so few
    articles that a quarter of them says nothing.

    Args:
        tfidf: its predictions with all training articles.
        base: the student's base, where its features are at hand.
    """
    train = splits.train
    if len(train) * LEARNING_SHARES[0] < _LEAST_ARTICLES:
        return None
    order = sorted(range(len(train)), key=lambda row: sha256_text(train[row].id))

    def fitted(some: Sequence[int]) -> Array:
        if base is not None:
            return embedding_predictions(base.features, splits, some)
        return tfidf_predictions(filter, [train[row] for row in some], splits)

    labels = labels_of(splits.test)
    points = []
    for share in LEARNING_SHARES:
        some = order[: round(len(train) * share)]
        points.append(LearningPoint(len(some), article_errors(fitted(some), labels)))
    whole = tfidf if base is None else base.predictions
    points.append(LearningPoint(len(train), article_errors(whole, labels)))
    rows = sum(split.rows for split in manifest.splits.values())
    name = TFIDF if base is None else EMBEDDINGS
    return LearningCurve(name, tuple(points), rows, _label_cost(manifest), base is not None)


def _label_cost(manifest: Manifest) -> float | None:
    """US dollars for one label, of the labels whose cost is known; None where none is."""
    known = sum(split.rows for split in manifest.splits.values()) - manifest.cost.rows_without_cost
    return manifest.cost.usd / known if known > 0 and manifest.cost.usd > 0 else None
