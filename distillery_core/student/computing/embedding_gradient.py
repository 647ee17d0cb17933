"""The gradient of a vocabulary's embeddings, added to where its tokens occur.

torch gives every piece of a batch a gradient as large as the vocabulary, nearly all of it zeros,
and adds it to that of the pieces before: for 250,000 tokens of 384 numbers that is more than a
gigabyte moved, whatever the piece's length. Here one such tensor is kept, and only rows of tokens
that occurred are added to and afterwards emptied. The others stay zero as long as the weights are
read nowhere else and gradients are scaled by finite numbers, as a run does.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from distillery_core.student.model_factory import inside_adapters


def add_where_tokens_occur(model: Any) -> None:
    """Have a model's embeddings gather their gradient so, where they are trained and plain ones."""
    plain = inside_adapters(model)
    with suppress(NotImplementedError):  # a base without one vocabulary, as CANINE
        embedding = plain.get_input_embeddings()
        if _is_plain(embedding) and embedding.weight.requires_grad:
            plain.set_input_embeddings(_Embedding(embedding))


def _is_plain(embedding: Any) -> bool:
    is_usual = type(embedding) is nn.Embedding and embedding.max_norm is None
    return is_usual and not embedding.scale_grad_by_freq and not embedding.sparse


class _Embedding(nn.Embedding):
    """Takes another one's place, and its weights."""

    def __init__(self, other: nn.Embedding) -> None:
        rows, width = other.weight.shape
        super().__init__(rows, width, other.padding_idx, _weight=other.weight)
        self.weight = other.weight
        self._gradient = _Gradient()

    def train(self, mode: bool = True) -> _Embedding:
        """Evaluation has other uses for the memory."""
        if not mode:
            self._gradient = _Gradient()
        super().train(mode)
        return self

    def forward(self, input: Tensor) -> Tensor:
        found: Tensor = _Lookup.apply(self.weight, input, self)  # type: ignore[no-untyped-call]
        return found

    def add(self, tokens: Tensor, gradient: Tensor) -> None:
        """Add to the gradient of each token's row; the padding token has none."""
        if self.padding_idx is not None:
            gradient = gradient.masked_fill((tokens == self.padding_idx)[:, None], 0.0)
        if self.weight.grad is None:
            self.weight.grad = self._gradient.emptied(self.weight)
        self._gradient.occurred.append(tokens)  # first, for who runs out of memory in the sum
        self.weight.grad.index_add_(0, tokens, gradient)


class _Gradient:
    """A gradient's memory, kept from step to step; `occurred` are the tokens of rows in use."""

    def __init__(self) -> None:
        self._kept: Tensor | None = None
        self.occurred: list[Tensor] = []

    def emptied(self, weight: Tensor) -> Tensor:
        """Zeros, as many as there are weights."""
        if self._kept is None:
            self._kept = torch.zeros_like(weight)
        for tokens in self.occurred:
            self._kept.index_fill_(0, tokens, 0.0)
        self.occurred.clear()
        return self._kept


class _Lookup(torch.autograd.Function):
    """Rows of the weights; the gradient goes to the embedding instead of through the graph."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, tokens: Tensor, embedding: _Embedding) -> Tensor:
        ctx.save_for_backward(tokens)
        ctx.embedding = embedding
        return nn.functional.embedding(tokens, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, None]:
        [tokens], [gradient] = ctx.saved_tensors, gradients
        ctx.embedding.add(tokens.reshape(-1), gradient.reshape(-1, gradient.shape[-1]))
        return None, None, None
