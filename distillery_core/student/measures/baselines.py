"""What a student must beat: predictors that are fitted on the train split in seconds.

Each returns float32 predictions within [0, 10], shape [articles, dimensions]. Nothing of the
split that is predicted is used for fitting; validation articles choose ridge's strength.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distillery_core.student.measures.metrics import Array, mae
from distillery_core.types import SCORE_MAX, SCORE_MIN

ALPHAS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Ridge strengths that are tried."""

_MOST_TERMS = 200_000
_RARE_TERMS_FROM = 1000


def constant(train_labels: Array, n: int) -> Array:
    """The median of each dimension's training labels, whatever the article: the least MAE that
    can be had without reading."""
    return np.tile(np.median(train_labels, axis=0), (n, 1)).astype(np.float32)


def per_source(
    train_labels: Array, train_sources: Sequence[str | None], sources: Sequence[str | None]
) -> Array:
    """The median of the article's news source, without reading; unknown sources get `constant`."""
    predictions = constant(train_labels, len(sources))
    origin = np.asarray([source or "" for source in train_sources])
    wanted = np.asarray([source or "" for source in sources])
    for name in np.unique(wanted[np.isin(wanted, origin) & (wanted != "")]):
        predictions[wanted == name] = np.median(train_labels[origin == name], axis=0)
    return predictions


def tfidf_ridge(
    train_texts: Sequence[str],
    train_labels: Array,
    val_texts: Sequence[str],
    val_labels: Array,
    texts: Sequence[str],
) -> Array:
    """TF-IDF of single words and word pairs, ridge regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2),
        sublinear_tf=True,
        min_df=2 if len(train_texts) >= _RARE_TERMS_FROM else 1,
        max_features=_MOST_TERMS,
        dtype=np.float32,
    )
    train = vectorizer.fit_transform(train_texts)
    val, wanted = vectorizer.transform(val_texts), vectorizer.transform(texts)
    return ridge(train, train_labels, val, val_labels, wanted)


def ridge(train: Any, train_labels: Array, val: Any, val_labels: Array, features: Any) -> Array:
    """Ridge regression on given features (dense or sparse [articles, features]).

    Frozen embeddings (`embeddings.embed`) as features make the embedding baseline. The strength
    with the lowest validation MAE is taken; the fit stays on the training articles.
    """
    from sklearn.linear_model import Ridge

    def predicted(model: Any, wanted: Any) -> Array:
        # Ridge drops the second axis where there is a single dimension.
        values = np.reshape(model.predict(wanted), (-1, train_labels.shape[1]))
        clipped: Array = np.clip(values, SCORE_MIN, SCORE_MAX).astype(np.float32)
        return clipped

    fitted = [Ridge(alpha=alpha, random_state=0).fit(train, train_labels) for alpha in ALPHAS]
    best = min(fitted, key=lambda model: mae(predicted(model, val), val_labels))
    return predicted(best, features)
