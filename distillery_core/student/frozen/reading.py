"""What a frozen run begins with: the base, and both splits as the base reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from distillery_core.dataset.rows import Example
from distillery_core.filters.filter import Filter
from distillery_core.student.computing.device import pick_device
from distillery_core.student.dataset_check import CheckedDataset
from distillery_core.student.features import Features, Kind
from distillery_core.student.frozen.base import FrozenBase
from distillery_core.student.model_factory import refuse_too_long
from distillery_core.student.planning.auto import pooling_of, refuse_flex_on_a_cpu
from distillery_core.student.planning.shape import base_config
from distillery_core.student.run import Say, Scored
from distillery_core.student.run_articles import fixed_subset, train_evaluated
from distillery_core.student.selection import Selection
from distillery_core.student.settings import FrozenHead, TrainSettings

KINDS: dict[FrozenHead, Kind] = {"ridge": "head", "mlp": "mean"}
"""What each head is fitted on: a ridge becomes the base's own head, and so reads what that does."""


@dataclass(frozen=True)
class Split:
    """A split with its labels, and what the base makes of its articles."""

    scored: Scored
    features: Features


@dataclass(frozen=True)
class FrozenRun:
    """What head, history and record of a run are made from.

    Attributes:
        settings: as asked, for the record; `base` came of them with every `auto` decided.
        shown: positions of the training articles that are evaluated each epoch.
    """

    filter: Filter
    dataset: CheckedDataset
    settings: TrainSettings
    threads: int
    base: FrozenBase
    train: Split
    val: Split
    shown: tuple[int, ...]
    selection: Selection


def decide_reading(settings: TrainSettings, say: Say) -> TrainSettings:
    """The settings with the pooling decided; only the base's configuration is read.

    Raises:
        UserError: no such base or device, or the base reads no articles of that length or way.
    """
    refuse_flex_on_a_cpu(settings.attention, on_gpu=pick_device(settings.device).type == "cuda")
    refuse_too_long(base_config(settings.model_name), settings)
    return replace(settings, pooling=pooling_of(settings, say))


def read_splits(
    filter: Filter,
    dataset: CheckedDataset,
    settings: TrainSettings,
    decided: TrainSettings,
    threads: int,
    say: Say,
) -> FrozenRun:
    """Load the base and have it read the articles, or look up what it read before.

    Args:
        settings: as asked; `decided` are those of `decide_reading`.

    Raises:
        UserError: the base cannot be loaded.
    """
    base = FrozenBase.load(filter, decided, KINDS[settings.frozen_head])

    def read(examples: Sequence[Example]) -> Split:
        encoded = base.encoder.encode_examples(examples, settings.cache_dir)
        return Split(Scored.of(filter, encoded, examples), base.read(encoded.articles))

    count = len(dataset.train)
    evaluated = train_evaluated(count, settings.train_eval_articles)
    return FrozenRun(
        filter=filter,
        dataset=dataset,
        settings=settings,
        threads=threads,
        base=base,
        train=read(dataset.train),
        val=read(dataset.val),
        shown=tuple(fixed_subset(count, evaluated, settings.seed)),
        selection=Selection.for_kind(settings.best_by, dataset.kind),
    )
