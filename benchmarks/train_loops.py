"""One training run, ours or the peer's, measured in CPU seconds of one thread."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from train_setup import Material
from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

from distillery_core.student.beginning import begin, open_accelerator
from distillery_core.student.checkpoints.state import Position
from distillery_core.student.computing.allocation import memory_kept
from distillery_core.student.computing.batches import epoch_batches
from distillery_core.student.data import Encoded, EncodedSplit, TextEncoder
from distillery_core.student.head_init import start_head_at_means
from distillery_core.student.measures.metrics import Array
from distillery_core.student.model_factory import build, quiet_transformers
from distillery_core.student.optimisation import warmup_used
from distillery_core.student.planning.flops import train_flops
from distillery_core.student.planning.shape import describe_model
from distillery_core.student.predict import Predictions, forward
from distillery_core.student.record import EpochRecord
from distillery_core.student.run import Run
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train_epoch
from distillery_core.types import silent


@dataclass(frozen=True)
class Measured:
    """One training run.

    Attributes:
        cpu_s: of the passes over the articles; building, tokenising and evaluating not counted.
        tokens: useful ones, padding not counted, of all epochs.
        flops: model FLOPs for these tokens.
        padding_waste: share of the processed tokens that was padding, 0-1.
        predictions: on the held-out articles, 0-10, [articles, dimensions].
        mae: theirs.
    """

    cpu_s: float
    tokens: int
    flops: float
    padding_waste: float
    predictions: Array
    mae: float

    @property
    def rate(self) -> float:
        """Useful tokens per CPU second."""
        return self.tokens / self.cpu_s


def ours(material: Material, settings: TrainSettings) -> Measured:
    """Our own loop, as `distillery train` runs it."""
    with memory_kept():
        run = begun(material, settings)
        started = time.process_time()
        records = list(passes(run))
        cpu_s = time.process_time() - started
    tokens = sum(record.tokens for record in records)
    processed = sum(record.tokens / (1 - record.padding_waste) for record in records)
    return Measured(
        cpu_s,
        tokens,
        run.flops * settings.epochs,
        1 - tokens / processed,
        *_learned(run.plain, run.val.split, run.encoder.pad_token_id),
    )


def begun(material: Material, settings: TrainSettings) -> Run:
    """A run of ours before its first step; nothing of it is saved."""
    torch.manual_seed(settings.seed)
    with tempfile.TemporaryDirectory() as folder:
        return begin(
            material.filter,
            material.dataset,
            Path(folder),
            settings,
            open_accelerator(settings),
            threads=1,
            say=lambda line: None,
        )


def passes(run: Run) -> Iterator[EpochRecord]:
    """Its epochs, one after another."""
    for epoch in range(1, run.settings.epochs + 1):
        yield train_epoch(run, epoch, silent, lambda line: None)
        run.position = Position(epoch=epoch + 1, step=run.position.step)


def peer(material: Material, settings: TrainSettings, *, bf16: bool) -> Measured:
    """`transformers.Trainer` with dynamic padding, same token ids, first head and batches."""
    filter, dataset = material.filter, material.dataset
    torch.manual_seed(settings.seed)  # the same first head as ours
    built = build(settings, filter.dimensions)
    encoder = TextEncoder(built.tokenizer, filter.config.text, settings.max_length)
    train, val = (encoder.encode_examples(rows) for rows in (dataset.train, dataset.val))
    start_head_at_means(built.model, train.labels.mean(axis=0).tolist())
    clock, collator = _Clock(), CountingCollator(built.tokenizer)
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        trainer = _Peer(
            model=built.model,
            args=arguments(settings, len(train), folder, bf16=bf16),
            train_dataset=trainer_rows(train),  # type: ignore[arg-type]
            data_collator=collator,
            callbacks=[clock],
        )
        trainer.batches = _Batches([len(article) for article in train.articles], settings)
        trainer.train()
    lengths = [len(article) for article in train.articles]
    flops = train_flops(describe_model(built.model), lengths, frozen_base=False)
    tokens = train.tokens * settings.epochs
    return Measured(
        clock.seconds,
        tokens,
        flops * settings.epochs,
        1 - tokens / collator.processed,
        *_learned(built.model, val, encoder.pad_token_id),
    )


class _Batches(Sampler[list[int]]):
    """Those of our loop on a CPU, epoch by epoch: what chance of the order is left out of the
    comparison."""

    def __init__(self, lengths: Sequence[int], settings: TrainSettings) -> None:
        self._lengths, self._settings = lengths, settings
        self._epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self._lengths) / self._settings.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        self._epoch += 1
        settings = self._settings
        yield from epoch_batches(
            self._lengths, settings.effective_batch, settings.seed, self._epoch, mega=1
        )


class _Peer(Trainer):  # type: ignore[misc]
    """Trainer, given its batches."""

    batches: _Batches

    def get_train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(
            self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator
        )


class _Clock(TrainerCallback):  # type: ignore[misc]
    """CPU seconds from the first batch to the end of the last step."""

    seconds = 0.0
    _started = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._started = time.process_time()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.seconds = time.process_time() - self._started


class CountingCollator(DataCollatorWithPadding):  # type: ignore[misc]
    """Pads to the longest of a batch, and counts the tokens that makes."""

    processed = 0

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().__call__(rows)
        self.processed += batch["input_ids"].numel()
        return batch


def arguments(
    settings: TrainSettings, articles: int, folder: str, *, bf16: bool
) -> TrainingArguments:
    """What Trainer is told, so that it does as many steps at the same rates."""
    steps = -(-articles // settings.batch_size) * settings.epochs
    return TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=warmup_used(settings.warmup_steps, steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=bf16,
        use_cpu=settings.device == "cpu",
        activation_checkpointing=bool(settings.gradient_checkpointing),
        activation_checkpointing_kwargs={"use_reentrant": False},
        seed=settings.seed,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def trainer_rows(split: EncodedSplit) -> list[dict[str, Any]]:
    """A split as Trainer reads it."""
    return [
        {"input_ids": list(article.tokens), "labels": labels.tolist()}
        for article, labels in zip(split.articles, split.labels, strict=True)
    ]


def _learned(model: Any, held_out: EncodedSplit, pad_token_id: int) -> tuple[Array, float]:
    """Predictions on the held-out articles, and their MAE."""
    articles: Sequence[Encoded] = held_out.articles
    values = Predictions.of(forward(model, articles, pad_token_id)).values
    return values, float(np.abs(values - held_out.labels).mean())
