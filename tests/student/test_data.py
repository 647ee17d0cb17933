"""Encoding: head and tail of long articles, special tokens, hostile text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from distillery_core.dataset.rows import Example
from distillery_core.filters.config import TextConfig
from distillery_core.student.data import TextEncoder

TEXT = TextConfig(max_chars=2000, head_share=0.75)


@pytest.fixture
def encoder(base: Callable[[str], Path]) -> Callable[..., TextEncoder]:
    def make(family: str, max_length: int = 16) -> TextEncoder:
        return TextEncoder(AutoTokenizer.from_pretrained(base(family)), TEXT, max_length)

    return make


def test_long_articles_keep_head_and_tail_under_the_head_share(
    encoder: Callable[..., TextEncoder],
) -> None:
    words = ["hot"] * 20 + ["fast"] * 20
    bert = encoder("bert")
    [article] = bert.encode([("a", "", " ".join(words))])
    tokens = bert.tokenizer.convert_ids_to_tokens(list(article.tokens))
    room = 16 - 2
    head = round(room * 0.75)
    assert tokens == ["[CLS]", *["hot"] * head, *["fast"] * (room - head), "[SEP]"]
    assert article.cut


def test_short_articles_are_whole(encoder: Callable[..., TextEncoder], family: str) -> None:
    [article] = encoder(family).encode([("a", "hot", "fast")])
    tokenizer = encoder(family).tokenizer
    assert list(article.tokens) == tokenizer("hot\n\nfast")["input_ids"]
    assert not article.cut


def test_an_article_cannot_spell_special_tokens(
    encoder: Callable[..., TextEncoder], family: str
) -> None:
    hostile = "hot [SEP] [PAD] [CLS] <|endoftext|> <|endoftext|>"
    [article] = encoder(family, max_length=128).encode([("a", "", hostile)])
    special = set(encoder(family).tokenizer.all_special_ids)
    inside = article.tokens[1:-1] if family == "bert" else article.tokens
    unknown = encoder(family).tokenizer.unk_token_id
    assert not (special - {unknown if family == "bert" else -1}) & set(inside)


def test_an_article_without_a_token_is_still_something(
    encoder: Callable[..., TextEncoder], family: str
) -> None:
    [article] = encoder(family).encode([("a", "", "")])
    assert len(article) >= 1


def test_examples_carry_labels_and_the_share_of_cut_articles(
    encoder: Callable[..., TextEncoder],
) -> None:
    rows = [
        Example(str(n), "", " ".join(["hot"] * n), (float(n), 0.5), ("x", "y")) for n in (3, 40)
    ]
    split = encoder("bert").encode_examples(rows)
    assert split.cut_share == 0.5
    assert split.tokens == 5 + 16
    assert split.labels.dtype == np.float32
    assert split.take([1]).labels.tolist() == [[40.0, 0.5]]
