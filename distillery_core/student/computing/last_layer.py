"""The last layer, computed for nothing but the tokens that the head reads.

But for the keys and values of its attention a layer takes each token by itself, and of the last
layer the head reads one token an article: the other rows change no score and no gradient. In a base
of six layers that is an eighth of the work (docs/decisions/0012).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

_BY_TOKEN = (
    ("self_attn.q_proj", "self_attn.o_proj", "mlp"),
    ("attention.self.query", "attention.output", "intermediate", "output"),
)
"""What takes each token by itself and is wanted of the tokens that the head reads: what they ask
attention, and what stands behind it. In the layers of decoders, and in BERT's."""


def parts_by_token(body: Any) -> Sequence[nn.Module]:
    """What takes each token by itself in the last layer; nothing where that is built in another
    way, or is computed a second time for the backward pass (gradient checkpointing)."""
    layers = getattr(body, "layers", None) or getattr(getattr(body, "encoder", None), "layer", None)
    if not layers or _computes_again(layers[-1]) or _has_experts(layers[-1]):
        return ()
    found = dict(layers[-1].named_modules())
    names = next((names for names in _BY_TOKEN if all(name in found for name in names)), ())
    return [found[name] for name in names]


def _computes_again(layer: nn.Module) -> bool:
    return any(getattr(part, "gradient_checkpointing", False) for part in layer.modules())


def _has_experts(layer: nn.Module) -> bool:
    return any(name.endswith("experts") for name, _ in layer.named_modules())


@contextmanager
def only_for(parts: Sequence[nn.Module], rows: Tensor, tokens: int) -> Iterator[None]:
    """Within the block these parts of a layer compute `rows` (int64) of their [1, tokens, width];
    the other rows come out as 0."""

    def take(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(each[:, rows] for each in inputs)

    def put_back(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output.new_zeros(1, tokens, output.shape[-1]).index_copy(1, rows, output)

    with ExitStack() as hooks:
        for part in parts:
            hooks.callback(part.register_forward_pre_hook(take).remove)
            hooks.callback(part.register_forward_hook(put_back).remove)
        yield
