"""The articles of a run: both splits as tokens, what is evaluated every epoch, and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distillery_core.filters.filter import Filter
from distillery_core.student.data import TextEncoder
from distillery_core.student.dataset_check import CheckedDataset
from distillery_core.student.measures.metrics import Array
from distillery_core.student.run import Say, Scored
from distillery_core.student.settings import TrainSettings


@dataclass(frozen=True)
class Articles:
    """Both splits as tokens; `lengths` are the training articles', `shown` those of them that are
    evaluated every epoch."""

    encoder: TextEncoder
    train: Scored
    val: Scored
    shown: Scored
    lengths: list[int]


def read_articles(
    filter: Filter, dataset: CheckedDataset, settings: TrainSettings, tokenizer: Any
) -> Articles:
    """Tokenise both splits, or take them from the cache."""
    encoder = TextEncoder(tokenizer, filter.config.text, settings.max_length)
    train, val = (
        Scored.of(filter, encoder.encode_examples(examples, settings.cache_dir), examples)
        for examples in (dataset.train, dataset.val)
    )
    lengths = [len(article) for article in train.split.articles]
    evaluated = train_evaluated(len(lengths), settings.train_eval_articles)
    shown = fixed_subset(len(lengths), evaluated, settings.seed)
    return Articles(encoder, train, val, train.take(shown), lengths)


def say_longest_alone(settings: TrainSettings, lengths: Sequence[int], say: Say) -> None:
    """An article is computed whole, as often as a step does, however few tokens were named."""
    named, longest = settings.micro_batch_tokens, settings.draws * max(lengths)
    if named and named < longest:  # 0 asks for one at a time
        longer = sum(settings.draws * length > named for length in lengths)
        say(
            f"More than {named} tokens at a time: {longer} of {len(lengths)} articles are longer "
            f"and are computed one at a time, of up to {longest} tokens"
        )


def loss_weights(filter: Filter, train: Scored, high: float) -> Array:
    """1, or `high` from the operating point up, scaled to a mean of 1."""
    weights = np.where(train.overall >= filter.operating_point, high, 1.0)
    scaled: Array = (weights / weights.mean()).astype(np.float32)
    return scaled


def train_evaluated(articles: int, asked: int | None) -> int:
    """How many training articles are evaluated each epoch: as asked, or a fifth in 100-500."""
    return min(articles, min(max(articles // 5, 100), 500) if asked is None else asked)


def fixed_subset(articles: int, size: int, seed: int) -> list[int]:
    """Positions of at most `size` training articles, in order, the same ones every time."""
    chosen: list[int] = np.random.default_rng(seed).permutation(articles)[:size].tolist()
    return sorted(chosen)
