"""One LoRA run on a GPU, ours or the peer's, measured in wall time once it is warm."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import torch
from hollow_base import fill
from train_loops import CountingCollator, arguments, begun, passes, trainer_rows
from train_setup import Material
from transformers import PrinterCallback, Trainer, TrainerCallback

from distillery_core.student.beginning import held_in_bf16
from distillery_core.student.computing.device import pick_device, pick_precision
from distillery_core.student.computing.memory import peak_bytes
from distillery_core.student.data import TextEncoder
from distillery_core.student.lora import add_adapters
from distillery_core.student.model_factory import build, quiet_transformers
from distillery_core.student.planning.flops import train_flops
from distillery_core.student.planning.shape import describe_model
from distillery_core.student.settings import TrainSettings

WARM_UP = 1
"""Epochs that are trained and not counted."""


@dataclass(frozen=True)
class Epoch:
    """One pass over the articles.

    Attributes:
        seconds: wall time, the median of the measured ones.
        tokens: useful ones, padding not counted.
        flops: model FLOPs for these tokens.
        padding_waste: share of the processed tokens that was padding, 0-1.
        memory: most bytes allocated on the device, the base included.
    """

    seconds: float
    tokens: int
    flops: float
    padding_waste: float
    memory: int

    @property
    def rate(self) -> float:
        """Useful tokens per second."""
        return self.tokens / self.seconds

    def share(self, peak: float) -> float:
        """Of a peak in FLOP/s, on useful tokens."""
        return self.flops / self.seconds / peak


def ours(material: Material, settings: TrainSettings) -> Epoch:
    """Our own loop, as `distillery train` runs it."""
    run = begun(material, settings)
    fill(run.plain)
    _forget_memory()
    records = list(passes(run))[WARM_UP:]
    return Epoch(
        statistics.median(record.seconds for record in records),
        records[-1].tokens,
        run.flops,
        records[-1].padding_waste,
        records[-1].peak_memory_bytes,
    )


def peer(material: Material, settings: TrainSettings) -> Epoch:
    """`transformers.Trainer` with dynamic padding, on the same base under the same adapters."""
    device = pick_device(settings.device)
    held_in = torch.bfloat16 if held_in_bf16(settings, device) else torch.float32
    built = build(settings, material.filter.dimensions, held_in=held_in)
    shape = describe_model(built.model)
    encoder = TextEncoder(built.tokenizer, material.filter.config.text, settings.max_length)
    train = encoder.encode_examples(material.dataset.train)
    model = add_adapters(built.model, settings).to(device)
    fill(model)
    clock, collator = _Clock(), CountingCollator(built.tokenizer)
    bf16 = pick_precision(settings.precision, device) == "bf16"
    _forget_memory()
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        trainer = Trainer(
            model=model,
            args=arguments(settings, len(train), folder, bf16=bf16),
            train_dataset=trainer_rows(train),  # type: ignore[arg-type]
            data_collator=collator,
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return Epoch(
        statistics.median(clock.seconds[WARM_UP:]),
        train.tokens,
        train_flops(shape, [len(article) for article in train.articles], frozen_base=True),
        1 - train.tokens * settings.epochs / collator.processed,
        peak_bytes(device),
    )


class _Clock(TrainerCallback):  # type: ignore[misc]
    """Wall time of each epoch, from its first batch until the device has done the last."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._started = 0.0

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self._started = _now()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(_now() - self._started)


def _now() -> float:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def _forget_memory() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
