"""A training run: what its epochs share, and how its articles are cut into pieces."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from distillery_core.dataset.rows import Example
from distillery_core.filters.filter import Filter
from distillery_core.filters.text_view import pattern_text
from distillery_core.student.checkpoints.state import Position
from distillery_core.student.computing.batches import epoch_batches, micro_batches
from distillery_core.student.computing.packing import packs
from distillery_core.student.data import EncodedSplit, TextEncoder
from distillery_core.student.measures.finding import overall_scores
from distillery_core.student.measures.metrics import Array
from distillery_core.student.model_card import ModelCard
from distillery_core.student.optimisation import StartingPoint
from distillery_core.student.record import EpochRecord, RunFacts
from distillery_core.student.selection import Selection
from distillery_core.student.settings import Precision, TrainSettings

MODEL_FOLDER = "model"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Scored:
    """Articles that are evaluated every epoch, with what their labels come to overall."""

    split: EncodedSplit
    texts: Sequence[str]
    overall: Array

    @classmethod
    def of(cls, filter: Filter, split: EncodedSplit, examples: Sequence[Example]) -> Scored:
        """Work out the overall scores of the labels."""
        texts = [pattern_text(example.title, example.content) for example in examples]
        return cls(split, texts, overall_scores(filter, split.labels, texts))

    def take(self, rows: Sequence[int]) -> Scored:
        """The articles at these positions."""
        texts = [self.texts[row] for row in rows]
        return Scored(self.split.take(rows), texts, self.overall[list(rows)])


@dataclass
class Run:
    """Everything the epochs share.

    Attributes:
        model, optimizer: as accelerate prepared them; `plain` is the model itself.
        names: of the optimizer's parameters, in its order.
        loss_weights: of each training article in the loss, mean 1.
        shown: the training articles that are evaluated each epoch.
        micro_tokens: padded tokens computed at a time; `micro_articles` at most so many articles.
        flops: model FLOPs of an epoch.
        start: the trainable weights before the first step.
        identity: what a run that resumes this one must have too.
        fitted: how many articles fit at a time was found before the run was interrupted.
    """

    filter: Filter
    settings: TrainSettings
    accelerator: Accelerator
    plain: Any
    model: Any
    optimizer: Any
    names: list[str]
    scheduler: Any
    encoder: TextEncoder
    precision: Precision
    train: Scored
    val: Scored
    shown: Scored
    loss_weights: Array
    lengths: list[int]
    may_pad: bool
    packed: bool
    micro_tokens: int
    micro_articles: int
    mega_batches: int
    total_steps: int
    flops: float
    selection: Selection
    facts: RunFacts
    card: ModelCard
    model_dir: Path
    start: StartingPoint
    identity: dict[str, Any]
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    position: Position = field(default_factory=Position)
    history: list[EpochRecord] = field(default_factory=list)
    model_sha256: str = ""
    fitted: bool = False

    @property
    def device(self) -> torch.device:
        """This process's."""
        found: torch.device = self.accelerator.device
        return found

    @property
    def processes(self) -> int:
        """How many processes share the run."""
        return int(self.accelerator.num_processes)

    @property
    def is_main(self) -> bool:
        """Whether this process writes and speaks."""
        return bool(self.accelerator.is_main_process)

    @property
    def at_a_time(self) -> tuple[int, int, bool]:
        """How a batch is cut: tokens and articles of a piece, and whether they may be padded."""
        return self.micro_tokens, self.micro_articles, self.may_pad

    def compute_at_a_time(self, tokens: int, articles: int, may_pad: bool) -> None:
        """Cut batches into pieces of so many, from now on and in the record."""
        self.micro_tokens, self.micro_articles, self.may_pad = tokens, articles, may_pad
        self.facts = replace(self.facts, micro_batch_tokens=tokens)

    def batches(self, epoch: int) -> list[list[int]]:
        """The optimizer batches of an epoch."""
        settings = self.settings
        size, seed = settings.effective_batch, settings.seed
        return epoch_batches(self.lengths, size, seed, epoch, self.mega_batches)

    def cut(self, share: Sequence[int]) -> list[list[int]]:
        """A share of a batch in pieces that are computed at a time."""
        tokens = self.micro_tokens // self.settings.draws
        if self.packed:
            return packs(share, self.lengths, tokens)
        articles = max(1, self.micro_articles // self.settings.draws)
        return micro_batches(share, self.lengths, tokens, self.may_pad, articles)
