"""Classes of articles by how near they lie to seed sentences, for a filter without keywords.

The embedding function comes in from outside; which model it is does not matter here. Vectors of a
language model crowd into a narrow cone, where every two texts look alike; taking the corpus's mean
away first (Mu and Viswanath 2018, all-but-the-top) makes one cut mean the same for every model.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from distillery_core.dataset.classes import Classified
from distillery_core.filters.config import SeedSentences
from distillery_core.types import Article

Vectors = npt.NDArray[np.float32]
Embed = Callable[[Sequence[tuple[str, str, str]]], Vectors]
"""(id, title, content) of texts -> one vector a text, float32 [texts, size]."""


def nearest_pool(
    articles: Iterable[Article], rank: Callable[[Article], int], size: int
) -> list[Article]:
    """The `size` articles of lowest rank: what is embedded, however long the corpus is."""
    return heapq.nsmallest(size, articles, key=rank)


def classes_by_similarity(
    articles: Sequence[Article], seeds: SeedSentences, embed: Embed
) -> dict[str, Classified]:
    """The class of each article by its nearest seed sentence.

    On topic is an article whose cosine with an on-topic sentence is at or above `on_topic_at`,
    edge one at or above `edge_at` with an on-topic or edge sentence, off topic all others. The
    reason names the sentence and the similarity.
    """
    if not articles:
        return {}
    sentences = [*seeds.on_topic, *seeds.edge]
    texts = embed([(one.id, one.title, one.content) for one in articles])
    wanted = embed([(f"seed {n}", "", text) for n, text in enumerate(sentences)])
    cosines = _cosines(texts, wanted, texts.mean(axis=0))
    return {
        one.id: _classified(row, sentences, len(seeds.on_topic), seeds)
        for one, row in zip(articles, cosines, strict=True)
    }


def _cosines(texts: Vectors, sentences: Vectors, centre: Vectors) -> npt.NDArray[np.float64]:
    """Cosines after taking the centre away, float64 [texts, sentences]."""
    left, right = _unit(texts - centre), _unit(sentences - centre)
    cosines: npt.NDArray[np.float64] = left @ right.T
    return cosines


def _unit(vectors: Vectors) -> npt.NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    unit: npt.NDArray[np.float64] = np.divide(
        wide, lengths, out=np.zeros_like(wide), where=lengths > 0
    )
    return unit


def _classified(
    row: npt.NDArray[np.float64], sentences: Sequence[str], on_topic: int, seeds: SeedSentences
) -> Classified:
    at = int(row[:on_topic].argmax())
    if row[at] >= seeds.on_topic_at:
        return _named("on_topic", row[at], sentences[at])
    at = int(row.argmax())
    if row[at] >= seeds.edge_at:
        return _named("edge", row[at], sentences[at])
    return Classified("off_topic", f"similarity {row[at]:.2f} at most", "similarity")


def _named(name: str, cosine: float, sentence: str) -> Classified:
    reason = f"similarity {cosine:.2f} to {sentence!r:.60}"
    return Classified("on_topic" if name == "on_topic" else "edge", reason, "similarity")
