"""Frozen embeddings of articles from a base model: no training, one forward pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from distillery_core.filters.config import TextConfig
from distillery_core.student.computing.batches import micro_batches, pad
from distillery_core.student.computing.device import cpu_threads, pick_device, pick_threads
from distillery_core.student.data import Encoded, TextEncoder
from distillery_core.student.measures.metrics import Array
from distillery_core.student.model_factory import load_base, locate, quiet_transformers, set_padding
from distillery_core.student.settings import Device

_CPU_TOKENS = 1024
_GPU_TOKENS = 32_768


def embed(
    model_name: str,
    articles: Iterable[tuple[str, str, str]],
    text: TextConfig,
    *,
    max_length: int = 512,
    device: Device = "auto",
    threads: int | None = None,
) -> Array:
    """Mean of the last hidden states over each article's tokens, unit length.

    Args:
        model_name: as in TrainSettings.
        articles: (id, title, content).

    Returns:
        float32 [articles, hidden size], input order.

    Raises:
        UserError: the base model is not there or has no weights.
    """
    source = locate(model_name)
    target = pick_device(device)
    with quiet_transformers():
        tokenizer = load_base(AutoTokenizer, source, model_name)
        model = load_base(AutoModel, source, model_name, dtype=torch.float32, use_safetensors=True)
    set_padding(model, tokenizer)
    encoded = TextEncoder(tokenizer, text, max_length).encode(articles)
    with cpu_threads(pick_threads(threads)), torch.inference_mode():
        return _pooled(model.to(target).eval(), encoded, int(tokenizer.pad_token_id), target)


def _pooled(model: Any, encoded: list[Encoded], pad_token_id: int, device: torch.device) -> Array:
    lengths = [len(article) for article in encoded]
    max_tokens = _CPU_TOKENS if device.type == "cpu" else _GPU_TOKENS
    found: Array = np.empty((len(encoded), model.config.hidden_size), dtype=np.float32)
    for piece in micro_batches(range(len(encoded)), lengths, max_tokens):
        batch = pad([encoded[p] for p in piece], pad_token_id, device)
        hidden = model(input_ids=batch.input_ids, attention_mask=batch.mask).last_hidden_state
        mask = torch.ones_like(batch.input_ids) if batch.mask is None else batch.mask
        mean = (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        found[piece] = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
    return found
