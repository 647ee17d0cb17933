"""Articles one after another in a single row, nothing padded: for attention that keeps them apart.

Flash and flex attention take the borders from positions that begin again at 0. Other attention
implementations build a full mask from them, which is right and slow; on a CPU pieces of equal
length do the same without a mask (docs/decisions/0006).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from distillery_core.student.data import Encoded

_KEEP_APART = ("flash_attention_2", "flash_attention_3", "flex_attention")


def can_pack(model: Any) -> bool:
    """Whether a model reads each article from left to right and scores its last token."""
    return isinstance(_head(model), torch.nn.Module)


def packs_by_default(model: Any, attention: str, device: torch.device) -> bool:
    """Whether packing is the fast way: a decoder on a GPU with flash or flex attention."""
    return device.type == "cuda" and attention in _KEEP_APART and can_pack(model)


def packs(positions: Sequence[int], lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Cut a batch into rows of at most `max_tokens` tokens, longest article first.

    An article that is longer stands alone.
    """
    rows: list[list[int]] = []
    room = 0
    for position in sorted(positions, key=lambda p: (-lengths[p], p)):
        if not rows or lengths[position] > room:
            rows.append([])
            room = max_tokens
        rows[-1].append(position)
        room -= lengths[position]
    return rows


def packed_logits(model: Any, articles: Sequence[Encoded], device: torch.device) -> Tensor:
    """The head's outputs [articles, outputs], each from its article's last token."""
    ids = torch.tensor([[t for a in articles for t in a.tokens]], device=device)
    places = [torch.arange(len(article)) for article in articles]
    ends = torch.tensor([len(article) for article in articles]).cumsum(0) - 1
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    body = getattr(plain, plain.base_model_prefix)
    hidden = body(
        input_ids=ids, position_ids=torch.cat(places)[None].to(device), use_cache=False
    ).last_hidden_state
    logits: Tensor = _head(model)(hidden[0, ends.to(device)])
    return logits


def _head(model: Any) -> Any:
    return getattr(model, "score", None)
