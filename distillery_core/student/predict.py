"""Scores from a saved student: the same for one article and for any batch it stands in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from distillery_core.dataset.rows import Example
from distillery_core.errors import UserError
from distillery_core.filters.config import TextConfig
from distillery_core.student.computing.batches import micro_batches, pad
from distillery_core.student.computing.device import cpu_threads, pick_device, pick_threads
from distillery_core.student.data import Encoded, TextEncoder
from distillery_core.student.headed import load_headed
from distillery_core.student.measures.metrics import Array
from distillery_core.student.measures.score_calibration import ScoreCalibration, read_calibration
from distillery_core.student.model_card import HEAD, ModelCard
from distillery_core.student.model_factory import (
    FUSED,
    inside_adapters,
    quiet_transformers,
    set_padding,
)
from distillery_core.student.model_folder import whole_card
from distillery_core.student.settings import Device
from distillery_core.types import SCORE_MAX, SCORE_MIN, Article

CPU_TOKENS = 1024
GPU_TOKENS = 32_768
"""Padded tokens computed at a time: on a CPU, what stays in the cache; on a GPU, what fills it."""


@dataclass(frozen=True)
class Student:
    """A model that is ready to predict, with the encoder that reads as it was trained to."""

    model: Any
    encoder: TextEncoder
    card: ModelCard
    device: torch.device
    calibration: ScoreCalibration | None = None

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the columns of every prediction."""
        return self.card.dimensions


@dataclass(frozen=True)
class Predictions:
    """Predicted scores.

    Attributes:
        values: float32 [articles, dimensions] within [0, 10]; NaN where the model gave no number.
        clipped: bool, same shape: the model's own value lay outside [0, 10].
    """

    values: Array
    clipped: Array

    @classmethod
    def of(cls, raw: Array) -> Predictions:
        """Clip what a model gave."""
        return cls(np.clip(raw, SCORE_MIN, SCORE_MAX), (raw < SCORE_MIN) | (raw > SCORE_MAX))


def load_model(folder: Path, device: Device = "auto") -> Student:
    """Load a model folder written by training.

    Raises:
        UserError: no such folder, no weights, no `distillery.json`, or files that do not fit.
    """
    card = whole_card(folder)
    with quiet_transformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            model = _read_model(folder)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise UserError(f"the model cannot be loaded: {error}", where=folder) from error
    _check_outputs(model, card, folder)
    set_padding(model, tokenizer)
    target = pick_device(device)
    text = TextConfig(max_chars=card.max_chars, head_share=card.head_share)
    encoder = TextEncoder(tokenizer, text, card.max_length)
    calibration = read_calibration(folder, card.dimensions)
    return Student(model.to(target).eval(), encoder, card, target, calibration)


def _read_model(folder: Path) -> Any:
    """The folder's model; a head of ours lies in a file of its own."""
    if (folder / HEAD).is_file():
        return load_headed(folder)
    return AutoModelForSequenceClassification.from_pretrained(
        folder, trust_remote_code=False, use_safetensors=True
    )


def _check_outputs(model: Any, card: ModelCard, folder: Path) -> None:
    names = tuple(model.config.id2label[i] for i in range(model.config.num_labels))
    if names != card.dimensions:
        what = f"config.json has the outputs {names}, distillery.json {card.dimensions}"
        raise UserError(what, where=folder)


def predict(
    student: Student,
    articles: Iterable[Article | Example],
    *,
    max_tokens: int | None = None,
    threads: int | None = None,
    calibrated: bool = True,
) -> Predictions:
    """Score articles; results in input order.

    Args:
        calibrated: apply the model's score calibration, where it has one.
        max_tokens: padded tokens computed at a time; 0 is one article at a time, None fits the
            device. It changes the speed, not the scores.
        threads: CPU threads; None is one for up to two cores.
    """
    encoded = student.encoder.encode((a.id, a.title, a.content) for a in articles)
    with cpu_threads(pick_threads(threads)):
        raw = forward(student.model, encoded, student.encoder.pad_token_id, max_tokens)
    given = Predictions.of(raw)
    if not calibrated or student.calibration is None:
        return given
    return replace(given, values=student.calibration.apply(given.values))


def tokens_at_a_time(device: torch.device) -> int:
    """Padded tokens that are predicted at a time where nobody says how many."""
    return CPU_TOKENS if device.type == "cpu" else GPU_TOKENS


def forward(
    model: Any, articles: Sequence[Encoded], pad_token_id: int, max_tokens: int | None = None
) -> Array:
    """The model's own outputs in evaluation mode, float32 [articles, outputs], unclipped.

    Articles are computed from the longest to the shortest and put back in order.
    """
    device = next(model.parameters()).device
    if max_tokens is None:
        max_tokens = tokens_at_a_time(device)
    lengths = [len(article) for article in articles]
    outputs = np.empty((len(articles), model.config.num_labels), dtype=np.float32)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), _attending_in_float32(model):
            for piece in micro_batches(range(len(articles)), lengths, max_tokens):
                batch = pad([articles[p] for p in piece], pad_token_id, device)
                logits = model(input_ids=batch.input_ids, attention_mask=batch.mask).logits
                outputs[piece] = logits.float().cpu().numpy()
    finally:
        model.train(was_training)
    return outputs


@contextmanager
def _attending_in_float32(model: Any) -> Iterator[None]:
    """Within the block flash attention, which computes no float32, gives way to the fused one: an
    evaluation and the scorer compute alike."""
    plain = inside_adapters(model)
    used = plain.config._attn_implementation
    if not str(used).startswith("flash"):
        yield
        return
    plain.set_attn_implementation(FUSED)
    try:
        yield
    finally:
        plain.set_attn_implementation(used)
