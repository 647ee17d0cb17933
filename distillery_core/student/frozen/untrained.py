"""What a base knows without training: features of a dataset, where an earlier run left them.

The training articles are most of a dataset, and reading them takes as long as an epoch forward; so
they are only ever looked up. Where they are there, the test articles are read now, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distillery_core.dataset.rows import Example
from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.measures.metrics import Array

if TYPE_CHECKING:
    from distillery_core.student.data import Encoded, TextEncoder
    from distillery_core.student.features import Kind
    from distillery_core.student.settings import TrainSettings


@dataclass(frozen=True)
class BaseFeatures:
    """Float32 [articles, width] of each split, every row of unit length."""

    train: Array
    val: Array
    test: Array


def base_features(
    filter: Filter,
    settings: TrainSettings,
    train: Sequence[Example],
    val: Sequence[Example],
    test: Sequence[Example],
    cache_dir: str,
) -> BaseFeatures | None:
    """Features of all three splits; None where training and validation are not in the cache.

    Args:
        settings: base model, length and seed of the run that would have left them.
    """
    from distillery_core.student.features import FOLDER

    if not any((Path(cache_dir) / FOLDER).glob("*.safetensors")):
        return None
    try:
        return _looked_up(filter, settings, (train, val, test), cache_dir)
    except UserError:  # the base is not on this machine
        return None


def _looked_up(
    filter: Filter,
    settings: TrainSettings,
    splits: tuple[Sequence[Example], ...],
    cache_dir: str,
) -> BaseFeatures | None:
    kinds: tuple[Kind, ...] = ("mean", "head")
    found = (_of_kind(filter, settings, splits, cache_dir, kind) for kind in kinds)
    return next((one for one in found if one is not None), None)


def _of_kind(
    filter: Filter,
    settings: TrainSettings,
    splits: tuple[Sequence[Example], ...],
    cache_dir: str,
    kind: Kind,
) -> BaseFeatures | None:
    import torch

    from distillery_core.student.computing.device import cpu_threads, pick_threads
    from distillery_core.student.frozen.base import FrozenBase

    asked = replace(settings, cache_dir=cache_dir)
    with cpu_threads(pick_threads(settings.threads)), torch.random.fork_rng():
        torch.manual_seed(settings.seed)  # a head on top may have a random layer below its last
        base = FrozenBase.load(filter, asked, kind)
        train, val, test = _encoded(base.encoder, splits, cache_dir)
        known, held_out = base.stored(train), base.stored(val)
        if known is None or held_out is None:
            return None
        read = base.read(test).rows
    return BaseFeatures(*(_unit(one.numpy()) for one in (known, held_out, read)))


def _encoded(
    encoder: TextEncoder, splits: tuple[Sequence[Example], ...], cache_dir: str
) -> list[tuple[Encoded, ...]]:
    return [encoder.encode_examples(split, cache_dir).articles for split in splits]


def _unit(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Array = rows / np.maximum(lengths, 1e-12)
    return scaled
