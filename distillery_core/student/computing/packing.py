"""Articles one after another in a single row, nothing padded: for attention that keeps them apart.

On a GPU flash and flex attention take the borders from positions that begin again at 0. On a CPU
attention.py computes each article by itself. Other attention implementations build a full mask from
the positions, which is right and slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from distillery_core.student.computing.attention import BY_ARTICLE, Articles
from distillery_core.student.computing.last_layer import only_for, parts_by_token
from distillery_core.student.data import Encoded
from distillery_core.student.model_factory import inside_adapters

_DECODERS = frozenset({"qwen2", "qwen3", "llama", "mistral", "smollm3", "gemma"})
"""Decoders that do nothing across tokens but attention. Hybrids (Qwen3.5, Jamba) carry a state from
one article into the next whatever the positions say."""

_KEEP_APART = ("flash_attention_2", "flash_attention_3", "flex_attention")


def can_pack(model: Any, attention: str, device: torch.device) -> bool:
    """Whether packed articles come out as single ones do."""
    return _is_known_decoder(model) or attends_by_article(model, attention, device)


def packs_by_default(model: Any, attention: str, device: torch.device) -> bool:
    """Whether packing is the fast way: by attention.py, or on a GPU where a decoder has flash or
    flex attention."""
    on_gpu = device.type == "cuda" and attention in _KEEP_APART and _is_known_decoder(model)
    return on_gpu or attends_by_article(model, attention, device)


def attends_by_article(model: Any, attention: str, device: torch.device) -> bool:
    """Whether attention.py keeps articles apart here: on a CPU, instead of sdpa."""
    return device.type == "cpu" and attention == "sdpa" and is_packable(model)


def is_packable(model: Any) -> bool:
    """Whether attention.py can do what a base's own attention does: all to all or from left to
    right, without a window or capped scores, in a decoder known here or in BERT. Other encoders
    number positions or pool in ways of their own."""
    config = inside_adapters(model).config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    capped = getattr(config, "attn_logit_softcapping", None)
    window = getattr(config, "sliding_window", None)
    known = _is_known_decoder(model) or config.model_type == "bert"
    return known and kinds == {"full_attention"} and not capped and not window


def attend_by_article(model: Any) -> None:
    """Have a model keep packed articles apart by attention.py."""
    inside_adapters(model).set_attn_implementation(BY_ARTICLE)


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
    """The head's outputs [articles, outputs], each from its article's last or first token."""
    plain = inside_adapters(model)
    body = getattr(plain, plain.base_model_prefix)
    row = _Row.of(articles, plain, device)
    with only_for(parts_by_token(body), row.read, row.ids.shape[1]):
        hidden = body(
            input_ids=row.ids, position_ids=row.places, use_cache=False, **row.borders
        ).last_hidden_state[0, row.read]
    if _is_decoder(model):
        scored: Tensor = model.score(hidden)
        return scored
    logits: Tensor = plain.classifier(plain.dropout(body.pooler(hidden[:, None])))
    return logits


@dataclass(frozen=True, slots=True)
class _Row:
    """Packed articles.

    Attributes:
        ids, places: tokens and their positions within their article, int64 [1, tokens].
        read: where the tokens stand that the head reads, int64 [articles].
        borders: what attention.py wants to know of the articles.
    """

    ids: Tensor
    places: Tensor
    read: Tensor
    borders: dict[str, Any]

    @classmethod
    def of(cls, articles: Sequence[Encoded], plain: Any, device: torch.device) -> _Row:
        lengths = [len(article) for article in articles]
        ends = list(accumulate(lengths))
        last = _is_decoder(plain)
        read = [end - 1 if last else end - n for end, n in zip(ends, lengths, strict=True)]
        by_article = plain.config._attn_implementation == BY_ARTICLE
        return cls(
            ids=torch.tensor([[t for a in articles for t in a.tokens]], device=device),
            places=torch.cat([torch.arange(n) for n in lengths])[None].to(device),
            read=torch.tensor(read, device=device),
            borders={"articles": Articles(tuple(lengths), last)} if by_article else {},
        )


def _is_known_decoder(model: Any) -> bool:
    return (
        _is_decoder(model)
        and inside_adapters(model).config.get_text_config().model_type in _DECODERS
    )


def _is_decoder(model: Any) -> bool:
    return isinstance(getattr(model, "score", None), torch.nn.Module)
