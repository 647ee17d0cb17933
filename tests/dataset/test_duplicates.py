"""Duplicates: exact by key, near by verified similarity, checked against brute force."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_core.dataset.duplicates import KnownTexts, duplicates_of
from distillery_core.dataset.shingles import band_keys, jaccard, shingle_set

Prose = Callable[..., str]


def plain_jaccard(left: str, right: str) -> float:
    """Jaccard similarity of 3-word shingles, written as in a textbook."""
    sets = []
    for text in (left, right):
        words = re.findall(r"[^\W_]+", text.casefold())
        sets.append(
            {tuple(words[k : k + 3]) for k in range(max(len(words) - 2, 1))} if words else set()
        )
    union = sets[0] | sets[1]
    return len(sets[0] & sets[1]) / len(union) if union else 0.0


words = st.sampled_from(["a", "bb", "flood", "Fluß", "über", "12", "river's", "end"])
texts = st.lists(words, max_size=12).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(texts, texts)
def test_hashed_similarity_is_the_textbook_one(left: str, right: str) -> None:
    found = jaccard(shingle_set(left), shingle_set(right))
    # NFKC turns nothing of these words apart, so both sides see the same tokens.
    assert found == pytest.approx(plain_jaccard(left.casefold(), right.casefold()))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=6))
def test_a_text_has_the_same_keys_in_any_batch(many: list[str]) -> None:
    together = band_keys(many)
    assert all((together[k] == band_keys([text])[0]).all() for k, text in enumerate(many))


def test_identical_up_to_case_space_and_punctuation() -> None:
    found = duplicates_of(["The River burst.", "the river, BURST", "The river held."])
    assert found.group.tolist() == [0, 0, 2]
    assert (found.exact, found.near, found.groups) == (1, 0, 2)


def test_texts_without_letters_are_only_their_own_duplicates() -> None:
    assert duplicates_of(["...", "!!!", "...", ""]).group.tolist() == [0, 1, 0, 3]


def test_nothing_has_no_duplicates() -> None:
    assert duplicates_of([]).group.tolist() == []


def test_groups_are_closed_under_similarity(prose: Prose) -> None:
    """A is near B and B near C, but A is not near C: still one group."""
    tokens = prose(1, words=200).split()
    chain = [" ".join(tokens[start : start + 140]) for start in (0, 20, 40)]
    assert plain_jaccard(chain[0], chain[1]) > 0.7
    assert plain_jaccard(chain[0], chain[2]) < 0.7
    assert duplicates_of(chain).group.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        (
            "周二连续三天降雨后河水漫过堤岸约两百人离开家园市政府连夜开放体育馆供居民避难",
            ("约两百人", "约三百人"),
        ),
        (
            "แม่น้ำเอ่อล้นตลิ่งเมื่อวันอังคารหลังฝนตกติดต่อกันสามวันประชาชนราวสองร้อยคนออกจากบ้าน",
            ("สองร้อย", "ห้าร้อย"),
        ),
    ],
)
def test_scripts_without_spaces(text: str, edited: tuple[str, str]) -> None:
    assert duplicates_of([text, text.replace(*edited)]).groups == 1
    assert duplicates_of([text, text[::-1]]).groups == 2


def test_recall_against_brute_force_on_edited_texts(prose: Prose) -> None:
    """Texts with every share of changed words; all pairs at or above 0.7 must be one group."""
    rng = random.Random(5)
    originals = [prose(n, words=150) for n in range(60)]
    edited = []
    for number, text in enumerate(originals):
        tokens = text.split()
        for place in rng.sample(range(150), number // 4):
            tokens[place] = f"changed{number}x{place}"
        edited.append(" ".join(tokens))
    found = duplicates_of([*originals, *edited]).group
    for number in range(60):
        near = plain_jaccard(originals[number], edited[number]) >= 0.7
        assert (found[number] == found[60 + number]) == near, number


def test_a_large_bucket_of_boilerplate_stays_fast_and_apart(prose: Prose) -> None:
    frame = prose(1, words=60)
    pages = [f"{frame} {prose(100 + n, words=60)}" for n in range(400)]
    assert duplicates_of(pages).groups == 400


def test_known_texts(prose: Prose) -> None:
    known = KnownTexts([prose(1), prose(2)])
    tokens = prose(1).split()
    tokens[4] = "changed"
    assert prose(1).upper() in known
    assert " ".join(tokens) in known
    assert prose(3) not in known
    assert "x" not in KnownTexts()
    known.add(prose(3))
    assert prose(3) in known
    assert len(known) == 3


def test_real_news_against_brute_force(lee_texts: dict[str, str]) -> None:
    """350 articles with seven identical pairs and one nearly identical one."""
    ids, many = list(lee_texts), list(lee_texts.values())
    found = duplicates_of(many)
    assert (found.exact, found.near, found.groups) == (7, 1, 342)
    near = (ids.index("lee-background-232"), ids.index("lee-background-241"))
    assert found.group[near[0]] == found.group[near[1]]
    sets = [shingle_set(text) for text in many]
    for left in range(len(sets)):
        for right in range(left):
            if jaccard(sets[left], sets[right]) >= 0.7:
                assert found.group[left] == found.group[right]


def test_a_corpus_of_2285_articles_has_one_pair(shared_data: Path) -> None:
    with gzip.open(
        shared_data / "news_corpus" / "news_corpus.jsonl.gz", "rt", encoding="utf-8"
    ) as f:
        many = [json.loads(line)["content"] for line in f]
    found = duplicates_of(many)
    assert len(many) == 2285
    assert found.groups == 2284
    (twin,) = np.flatnonzero(found.group != np.arange(len(many)))
    assert plain_jaccard(many[twin], many[found.group[twin]]) >= 0.7
