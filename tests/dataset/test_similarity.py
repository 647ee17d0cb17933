"""Classes by nearness to seed sentences, with vectors of our own; a real model in tests/stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from distillery_core.dataset.similarity import Vectors, classes_by_similarity, nearest_pool
from distillery_core.filters.config import SeedSentences
from distillery_core.types import Article

WORDS = ("flood", "drizzle", "sun")
SEEDS = SeedSentences(on_topic=("a flood",), edge=("some drizzle",))


def counting(offset: float = 0.0) -> Any:
    """Texts as counts of three words, all pushed the same way by `offset`, as models do."""

    def embed(texts: Sequence[tuple[str, str, str]]) -> Vectors:
        rows = [[f"{title} {text}".count(word) for word in WORDS] for _, title, text in texts]
        return np.array(rows, dtype=np.float32) + np.float32(offset)

    return embed


def articles() -> list[Article]:
    return [Article(f"a{n}", "", f"{WORDS[n % 3]} " * 3 + str(n)) for n in range(12)]


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_an_article_takes_the_class_of_the_sentence_it_is_near(offset: float) -> None:
    """The cone that a model's vectors lie in does not matter: the mean is taken away."""
    found = classes_by_similarity(articles(), SEEDS, counting(offset))
    assert [found[f"a{n}"].name for n in range(3)] == ["on_topic", "edge", "off_topic"]
    assert {one.by for one in found.values()} == {"similarity"}
    assert found["a0"].reason == "similarity 0.58 to 'a flood'"
    assert found["a2"].reason.startswith("similarity -0.")


def test_an_article_somewhat_near_an_on_topic_sentence_is_an_edge() -> None:
    seeds = SEEDS.model_copy(update={"on_topic_at": 0.95, "edge_at": 0.3})
    mixed = Article("m", "", "flood flood sun")
    assert classes_by_similarity([*articles(), mixed], seeds, counting())["m"].name == "edge"


def test_no_article_has_no_class() -> None:
    assert classes_by_similarity([], SEEDS, counting()) == {}


def test_a_text_without_any_direction_is_off_topic() -> None:
    same = [Article(f"s{n}", "", "nothing of it") for n in range(3)]
    found = classes_by_similarity(same, SEEDS, counting())
    assert {one.name for one in found.values()} == {"off_topic"}


def test_the_pool_is_the_lowest_ranks_whatever_the_order() -> None:
    ranks = {f"a{n}": (n * 7) % 12 for n in range(12)}
    pool = nearest_pool(iter(articles()), lambda one: ranks[one.id], 4)
    assert sorted(ranks[one.id] for one in pool) == [0, 1, 2, 3]


def test_cuts_in_the_wrong_order_are_a_mistake_of_the_config() -> None:
    with pytest.raises(ValidationError, match="edge_at lies above on_topic_at"):
        SeedSentences(on_topic=("x",), on_topic_at=0.2, edge_at=0.3)
