"""Batches: every article once, the same for a seed and epoch, little padding."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.student.computing.batches import (
    epoch_batches,
    micro_batches,
    pad,
    padding_waste,
)
from distillery_core.student.data import Encoded

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=150)


@given(LENGTHS, st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_holds_every_article_once(lengths: list[int], size: int, epoch: int) -> None:
    batches = epoch_batches(lengths, size, seed=7, epoch=epoch, mega=3)
    assert sorted(p for batch in batches for p in batch) == list(range(len(lengths)))
    assert all(0 < len(batch) <= size for batch in batches)
    assert len(batches) == -(-len(lengths) // size)
    assert batches == epoch_batches(lengths, size, seed=7, epoch=epoch, mega=3)


def test_epochs_and_seeds_differ() -> None:
    lengths = list(range(1, 65))
    first = epoch_batches(lengths, 4, seed=1, epoch=1)
    assert first != epoch_batches(lengths, 4, seed=1, epoch=2)
    assert first != epoch_batches(lengths, 4, seed=2, epoch=1)


@given(LENGTHS, st.integers(0, 200))
def test_micro_batches_keep_their_budget(lengths: list[int], budget: int) -> None:
    pieces = micro_batches(range(len(lengths)), lengths, budget)
    assert sorted(p for piece in pieces for p in piece) == list(range(len(lengths)))
    for piece in pieces:
        assert len(piece) == 1 or len(piece) * max(lengths[p] for p in piece) <= budget


@given(LENGTHS, st.integers(0, 200))
def test_equal_lengths_are_never_padded(lengths: list[int], budget: int) -> None:
    pieces = micro_batches(range(len(lengths)), lengths, budget, may_pad=False)
    assert sorted(p for piece in pieces for p in piece) == list(range(len(lengths)))
    assert padding_waste(pieces, lengths) == 0
    assert len(micro_batches(range(4), [64] * 4, 128, may_pad=False)) == 2


def test_bucketing_wastes_at_most_two_percent() -> None:
    lengths = np.random.default_rng(0).lognormal(5.5, 0.6, 7000).astype(int).clip(16, 512).tolist()
    batches = epoch_batches(lengths, 8, seed=1, epoch=1)
    pieces = [piece for batch in batches for piece in micro_batches(batch, lengths, 16_384)]
    assert padding_waste(pieces, lengths) <= 0.02
    assert padding_waste([[p] for p in range(7000)], lengths) == 0


def test_padding_left_and_right() -> None:
    articles = [Encoded("a", (5, 6, 7), False), Encoded("b", (8,), False)]
    right = pad(articles, 0, torch.device("cpu"))
    left = pad(articles, 0, torch.device("cpu"), side="left")
    assert right.input_ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert left.input_ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert right.mask is not None
    assert right.mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert pad(articles[:1], 0, torch.device("cpu")).mask is None
