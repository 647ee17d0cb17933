"""Optimizer, learning-rate schedule, and how far the weights have moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.optim import AdamW, Optimizer
from transformers import get_scheduler

from distillery_core.student.computing.sharding import whole
from distillery_core.student.settings import TrainSettings

WARMUP_SHARE = 0.1
_SAMPLED = 1 << 18


def make_optimizer(
    model: Any, head_names: frozenset[str], settings: TrainSettings
) -> tuple[Optimizer, list[str]]:
    """AdamW; biases and norms (vectors) do not decay, the head may have its own rate.

    Returns:
        The optimizer, and its parameters' names in its own order.
    """
    head_rate = settings.head_learning_rate or settings.learning_rate
    groups: dict[tuple[float, float], list[tuple[str, Any]]] = {}
    for name, parameter in trainable(model):
        rate = head_rate if name in head_names else settings.learning_rate
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append((name, parameter))
    # The fused step is one pass over memory: 8x faster than the default on a CPU.
    optimizer = AdamW(
        [
            {"params": [p for _, p in named], "lr": rate, "weight_decay": decay}
            for (rate, decay), named in groups.items()
        ],
        fused=True,
    )
    return optimizer, [name for named in groups.values() for name, _ in named]


def make_schedule(optimizer: Optimizer, settings: TrainSettings, total_steps: int) -> Any:
    """Warm-up, then linear or cosine down to 0 at `total_steps`."""
    warmup = warmup_used(settings.warmup_steps, total_steps)
    return get_scheduler(settings.schedule, optimizer, warmup, total_steps)


def warmup_used(asked: int, total_steps: int) -> int:
    """Warm-up steps of a run: as asked, but at most 10 % of all steps.

    The seed's 500 would end a small run inside its warm-up.
    """
    return min(asked, int(total_steps * WARMUP_SHARE))


def trainable(model: Any) -> Iterator[tuple[str, Any]]:
    """Name and parameter of everything that training changes."""
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)


@dataclass(frozen=True)
class StartingPoint:
    """The trainable weights before the first step, to tell afterwards how far they went.

    Of each tensor at most 262,144 evenly spaced entries are kept.
    """

    kept: dict[str, Tensor]

    @classmethod
    def of(cls, model: Any) -> StartingPoint:
        """As the model is now."""
        return cls({name: _sample(p).clone() for name, p in trainable(model)})

    def moved(self, model: Any) -> dict[str, float | int]:
        """`norm` of the change (scaled up where a tensor is sampled), and how many `tensors` of
        those that are trained have moved at all."""
        square, moved = 0.0, 0
        for name, parameter in trainable(model):
            change = _sample(parameter) - self.kept[name]
            found = float(change.double().square().sum())
            square += found * parameter.numel() / change.numel()
            moved += found > 0
        return {"norm": square**0.5, "tensors_moved": moved, "tensors": len(self.kept)}


def _sample(parameter: Any) -> Tensor:
    flat = whole(parameter.detach()).reshape(-1)
    stride = -(-flat.numel() // _SAMPLED)
    sampled: Tensor = flat[::stride].float().cpu()
    return sampled
