"""Baselines: what they say, and that they never see the articles they predict."""

from __future__ import annotations

import numpy as np
import pytest

from distillery_core.student.measures import baselines
from distillery_core.student.measures.metrics import mae

LABELS = np.array([[0.0, 4.0], [2.0, 5.0], [10.0, 9.0]])


def test_constant_is_the_median() -> None:
    assert baselines.constant(LABELS, 2).tolist() == [[2.0, 5.0], [2.0, 5.0]]


def test_per_source_knows_its_sources_only() -> None:
    found = baselines.per_source(LABELS, ["x", "x", None], ["x", "other", None])
    assert found.tolist() == [[1.0, 4.5], [2.0, 5.0], [2.0, 5.0]]


@pytest.fixture
def corpus() -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 11, size=(90, 2)).astype(float)
    texts = ["fire " * int(a) + "noise " * int(b) + "and then some words" for a, b in scores]
    return texts, scores


def test_tfidf_ridge_reads(corpus: tuple[list[str], np.ndarray]) -> None:
    texts, labels = corpus
    found = baselines.tfidf_ridge(texts[:60], labels[:60], texts[60:75], labels[60:75], texts[75:])
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 10
    assert mae(found, labels[75:]) < 0.6 * mae(baselines.constant(labels[:60], 15), labels[75:])


def test_ridge_takes_the_strength_that_suits_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(60, 40))
    labels = (5 + features[:, :1] + rng.normal(size=(60, 1))).clip(0, 10)
    fit = (features[:30], labels[:30], features[30:45], labels[30:45])
    chosen = baselines.ridge(*fit, features[30:45])
    assert chosen.shape == (15, 1)
    for alpha in baselines.ALPHAS:
        monkeypatch.setattr(baselines, "ALPHAS", (alpha,))
        single = baselines.ridge(*fit, features[30:45])
        assert mae(chosen, labels[30:45]) <= mae(single, labels[30:45])
