"""A model folder as somebody without this package reads it: with plain transformers."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from distillery_core.filters.config import TextConfig
from distillery_core.student.data import Encoded, TextEncoder
from distillery_core.student.measures.metrics import Array
from distillery_core.student.model_card import read_card
from distillery_core.student.model_factory import quiet_transformers
from distillery_core.student.predict import forward, load_model

_PROBE = (
    ("one", "Flood reaches the town", "Two hundred people left their houses during the night."),
    ("two", "", "Ein Streik legt am Montag den Verkehr still. 地震 in der Region, 12 Verletzte."),
    ("three", "Match report", "The home side won by three goals. " * 60),
)
"""Articles that both are compared on: short, several scripts, longer than most models read."""


def special_tokens(folder: Path) -> tuple[list[int], list[int]]:
    """Ids that a model folder's tokenizer puts before and after a text."""
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    [empty] = TextEncoder(tokenizer, TextConfig(), 1 << 20).encode([("a", "", "a")])
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    tokens = list(empty.tokens)
    at = next(i for i in range(len(tokens)) if tokens[i : i + len(bare)] == bare)
    return tokens[:at], tokens[at + len(bare) :]


def largest_difference(ours: Path, theirs: Path) -> float:
    """How far two copies of a model differ on a few articles, the worst score of all.

    Args:
        ours: read as `distillery score` reads it, in one batch.
        theirs: read with plain transformers, one article at a time.

    Raises:
        UserError: ours is no model folder.
        Exception: whatever transformers raises for a folder that it cannot load.
    """
    student = load_model(ours, "cpu")
    encoded = student.encoder.encode(_PROBE)
    expected = forward(student.model, encoded, student.encoder.pad_token_id)
    del student
    gc.collect()
    return float(np.abs(_plain(theirs) - expected).max())


def _plain(folder: Path) -> Array:
    """Scores without this package's loader, float32 [articles, dimensions]."""
    card = read_card(folder)
    text = TextConfig(max_chars=card.max_chars, head_share=card.head_share)
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, trust_remote_code=False, use_safetensors=True
        ).eval()
    return _one_by_one(model, TextEncoder(tokenizer, text, card.max_length).encode(_PROBE))


def _one_by_one(model: Any, articles: Sequence[Encoded]) -> Array:
    with torch.inference_mode():
        rows = [model(torch.tensor([one.tokens])).logits[0].float().numpy() for one in articles]
    return np.stack(rows)
