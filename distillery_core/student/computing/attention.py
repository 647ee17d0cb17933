"""Attention for several articles in one row, each by itself, on a CPU.

torch's fused attention computes its backward pass slowly on a CPU: beside plain matrix products it
took 2-5 times as long for articles of up to 512 tokens (bf16, heads of 32-64; docs/decisions/0012).
A long article's products no longer fit into the cache, so it takes the fused one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import dropout as drop
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

BY_ARTICLE = "distillery_by_article"
"""The name by which transformers finds this attention."""

FUSED_ABOVE = 1024
"""Tokens of an article up to which plain products are taken."""
_TOGETHER = 1 << 20
"""Products of a query and a key computed at a time, unless the heads that share a key have more in
one article: what fits into a core's cache. The 12 heads of an article of 512 tokens took 2.4 times
as long together as in fours."""


@dataclass(frozen=True, slots=True)
class Articles:
    """The articles in a row.

    Attributes:
        lengths: tokens of each, in order; short ones of equal length that stand beside each other
            are computed together.
        reads_last: the head reads an article's last token, else its first.
    """

    lengths: tuple[int, ...]
    reads_last: bool


def attend_by_article(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    articles: Articles | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention within each article of a row; as `sdpa` where no `articles` are given.

    In the last layer only the tokens that the head reads look at their article; the other rows come
    out as 0.

    Args:
        query: [1, heads, tokens, width]; key and value may have fewer heads.

    Returns:
        [1, tokens, heads, width], and no attention weights.
    """
    if articles is None:
        whole: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return whole
    how = _How(
        scale=query.shape[-1] ** -0.5 if scaling is None else scaling,
        causal=module.is_causal,
        dropout=dropout,
        read=_read(module, articles),
    )
    groups = list(_together(articles.lengths, heads=query.shape[1]))
    apart = (_apart(row, groups) for row in (query, key, value))
    found = [
        _attend(q, k, v, how).transpose(1, 2).flatten(0, 1) for q, k, v in zip(*apart, strict=True)
    ]
    return torch.cat(found)[None], None


@dataclass(frozen=True, slots=True)
class _How:
    """`read` is the one token of each article that is wanted, None for all of them."""

    scale: float
    causal: bool
    dropout: float
    read: int | None


def _read(module: Any, articles: Articles) -> int | None:
    is_last = module.layer_idx == module.config.get_text_config().num_hidden_layers - 1
    return (-1 if articles.reads_last else 0) if is_last else None


def _together(lengths: Sequence[int], heads: int) -> Iterator[tuple[int, int]]:
    """How many neighbours of equal length are computed at a time, and their length."""
    for length, equal in groupby(lengths):
        left, most = len(list(equal)), max(1, _TOGETHER // (heads * length * length))
        while left > 0:
            yield min(left, most), length
            left -= most


def _apart(row: Tensor, groups: Sequence[tuple[int, int]]) -> Iterator[Tensor]:
    """[1, heads, tokens, width] group by group, each [articles, heads, length, width].

    Cut at once: each slice by itself would have a gradient as long as the row.
    """
    cuts = torch.split(row[0], [articles * length for articles, length in groups], dim=1)
    for own, (articles, length) in zip(cuts, groups, strict=True):
        yield own.reshape(row.shape[1], articles, length, -1).transpose(0, 1)


def _attend(query: Tensor, key: Tensor, value: Tensor, how: _How) -> Tensor:
    """Articles of equal length, [articles, heads, length, width]."""
    if how.read is not None:
        # A last token sees all that stands before it, which is the whole article.
        alone = _products(query[:, :, how.read].unsqueeze(2), key, value, how, causal=False)
        empty = torch.zeros_like(query, dtype=alone.dtype)
        return empty.index_copy(2, torch.tensor([how.read % query.shape[2]]), alone)
    if query.shape[2] <= FUSED_ABOVE:
        return _products(query, key, value, how, how.causal)
    fused: Tensor = scaled_dot_product_attention(
        query,
        key,
        value,
        dropout_p=how.dropout,
        is_causal=how.causal,
        scale=how.scale,
        enable_gqa=key.shape[1] != query.shape[1],
    )
    return fused


def _products(query: Tensor, key: Tensor, value: Tensor, how: _How, causal: bool) -> Tensor:
    """Softmax of plain matrix products, as many heads at a time as fit into the cache; query
    [articles, heads, queries, width]."""
    sharing = query.shape[1] // key.shape[1]
    at_once = query.shape[0] * sharing * query.shape[2] * key.shape[2]
    groups = max(1, _TOGETHER // at_once)
    if groups >= key.shape[1]:
        return _of_heads(query, key, value, how, causal)
    cut = zip(
        torch.split(query, groups * sharing, dim=1),
        torch.split(key, groups, dim=1),
        torch.split(value, groups, dim=1),
        strict=True,
    )
    return torch.cat([_of_heads(q, k, v, how, causal) for q, k, v in cut], dim=1)


def _of_heads(query: Tensor, key: Tensor, value: Tensor, how: _How, causal: bool) -> Tensor:
    articles, heads, queries, width = query.shape
    groups, length = key.shape[1:3]
    # Heads that share keys are one tall matrix, so that keys are not copied for each.
    tall = (query * how.scale).reshape(articles, groups, -1, width)
    scores = (tall @ key.transpose(-1, -2)).reshape(articles, heads, queries, length)
    if causal:
        scores = scores + scores.new_full((queries, length), float("-inf")).triu(1)
    weights = torch.softmax(scores, dim=-1)
    if how.dropout:
        weights = drop(weights, how.dropout)
    mixed = weights.reshape(articles, groups, -1, length) @ value
    return mixed.reshape(articles, heads, queries, width)


def _mask(*positional: Any, **named: Any) -> Tensor | None:
    """No mask for a row of articles, which are kept apart in another way."""
    if named.get("attention_mask") is None:
        return None
    made: Tensor | None = sdpa_mask(*positional, **named)
    return made


AttentionInterface.register(BY_ARTICLE, attend_by_article)
AttentionMaskInterface.register(BY_ARTICLE, _mask)
