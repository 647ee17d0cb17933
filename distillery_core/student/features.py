"""What a frozen base makes of articles, computed once and kept on disk by content hash.

Two kinds. `head`: the very numbers that the base's own regression head reads (a decoder's last
token, an encoder's pooled first token), so that a linear head on them is that head. `mean`: the
mean of the last hidden states over an article's tokens, which says more and which no
sequence-classification model reads.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from distillery_core.files import sha256_json
from distillery_core.student.cache import cached, keep
from distillery_core.student.computing.batches import micro_batches, pad
from distillery_core.student.data import Encoded
from distillery_core.student.model_factory import output_layer
from distillery_core.student.planning.plan import CPU_MICRO_TOKENS
from distillery_core.student.settings import TrainSettings

Kind = Literal["head", "mean"]
FOLDER = "features"
"""Of the cache."""
_GPU_TOKENS = 32_768


@dataclass(frozen=True)
class Features:
    """What a base makes of articles.

    Attributes:
        rows: float32 [articles, width], on the CPU.
        seconds: that it took to have them.
        from_cache: an earlier run had read these articles; the base computed nothing.
    """

    rows: Tensor
    seconds: float
    from_cache: bool


def as_read(settings: TrainSettings, kind: Kind) -> TrainSettings:
    """Settings of the base that features of a kind come from: `mean` needs no layer for it."""
    return replace(settings, pooling="first") if kind == "mean" else settings


def tokens_at_a_time(device: torch.device, most: int | None = None) -> int:
    """Padded tokens that are read at a time, `most` unless that is None."""
    usual = CPU_MICRO_TOKENS if device.type == "cpu" else _GPU_TOKENS
    return usual if most is None else min(usual, most)


def features(
    model: Any,
    articles: Sequence[Encoded],
    kind: Kind,
    pad_token_id: int,
    base_sha256: str,
    cache_dir: str | None,
) -> Features:
    """Features of articles, from the cache where these were read before.

    Args:
        base_sha256: of the base's weights and configuration.
    """
    began = time.monotonic()
    stored = stored_features(articles, kind, base_sha256, cache_dir)
    tokens = tokens_at_a_time(next(model.parameters()).device)
    rows = computed(model, articles, kind, pad_token_id, tokens) if stored is None else stored
    seconds = time.monotonic() - began
    if stored is None:
        keep(cache_dir, FOLDER, _key(articles, kind, base_sha256), {"features": rows})
    return Features(rows, seconds, stored is not None)


def stored_features(
    articles: Sequence[Encoded], kind: Kind, base_sha256: str, cache_dir: str | None
) -> Tensor | None:
    """Rows of features from the cache alone; None where these articles were not read before."""
    stored = cached(cache_dir, FOLDER, _key(articles, kind, base_sha256))
    return None if stored is None else stored["features"]


def base_sha256(model: Any, base_config_sha256: str) -> str:
    """Hash of everything below the last layer, and of what decides how it is computed."""
    digest = hashlib.sha256(base_config_sha256.encode())
    fitted = set(output_layer(model).parameters())
    for name, parameter in sorted(model.named_parameters()):
        if parameter not in fitted:
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def _key(articles: Sequence[Encoded], kind: Kind, base_sha256: str) -> str:
    tokens = sha256_json([article.tokens for article in articles])
    return sha256_json(["features 1", kind, base_sha256, tokens])


def computed(
    model: Any, articles: Sequence[Encoded], kind: Kind, pad_token_id: int, tokens: int
) -> Tensor:
    """Rows of features, `tokens` padded tokens at a time; nothing is looked up or kept."""
    device = next(model.parameters()).device
    lengths = [len(article) for article in articles]
    rows: list[Tensor] = [torch.empty(0)] * len(articles)
    with torch.inference_mode():
        for piece in micro_batches(range(len(articles)), lengths, tokens):
            batch = pad([articles[p] for p in piece], pad_token_id, device)
            mask = torch.ones_like(batch.input_ids) if batch.mask is None else batch.mask
            read = _mean if kind == "mean" else _read_by_head
            found = read(model, batch.input_ids, mask).float().cpu()
            for position, row in zip(piece, found, strict=True):
                rows[position] = row
    return torch.stack(rows)


def _mean(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    body = getattr(model, model.base_model_prefix)
    return mean_state(body, ids, mask)


def mean_state(body: Any, ids: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of a base's last hidden states over the tokens that are no padding."""
    hidden: Tensor = body(input_ids=ids, attention_mask=mask).last_hidden_state
    weights = torch.ones_like(ids) if mask is None else mask
    total: Tensor = (hidden * weights[..., None]).sum(dim=1)
    return total / weights.sum(dim=1, keepdim=True)


def _read_by_head(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """What the output layer is given, at the last token where it is given every token."""
    seen: list[Tensor] = []
    hook = output_layer(model).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        model(input_ids=ids, attention_mask=mask)
    finally:
        hook.remove()
    given = seen[-1]
    if given.ndim == 2:
        return given
    return given[torch.arange(len(given)), mask.sum(dim=1) - 1]
