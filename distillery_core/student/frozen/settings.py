"""What a head on a frozen base takes of the settings, and what it is fitted with in their place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from distillery_core.filters.config import Training
from distillery_core.student.heads import MLP_BATCH, MLP_RATE
from distillery_core.student.record import Fitted
from distillery_core.student.settings import TrainSettings

_READ = frozenset(
    {"model_name", "max_length", "seed", "attention", "method", "frozen_head", "best_by"}
    | {"train_eval_articles", "threads", "device", "cache_dir"}
    # Refused by themselves, or set by the project for every run.
    | {"resume", "checkpoint_dir"}
)
_READ_BY = {
    "ridge": _READ | {"pooling"},
    "mlp": _READ | {"head_epochs", "patience"},
}
_DONE_ANYWAY = {"precision": "float32", "base_precision": "float32", "pooling": "mean"}


def fitted(settings: TrainSettings, articles: int) -> Fitted:
    """What the head is fitted with: ridge in closed form on all articles, the MLP in steps."""
    if settings.frozen_head == "ridge":
        return Fitted(epochs=1, batch_size=articles, learning_rate=None)
    return Fitted(settings.head_epochs, MLP_BATCH, MLP_RATE)


def say_what_is_not_read(
    settings: TrainSettings, filter_defaults: Training, say: Callable[[str], None]
) -> None:
    """Say in one line what was asked for and has no effect on a frozen base, if anything.

    The filter's own values were meant for another method, unless it asks for a frozen base itself.
    """
    usual: dict[str, Any] = asdict(TrainSettings())
    if filter_defaults.method != "frozen":
        usual |= filter_defaults.model_dump()
    asked = asdict(settings)
    names = [
        name
        for name in asked
        if name not in _READ_BY[settings.frozen_head]
        and asked[name] != usual[name]
        and asked[name] != _DONE_ANYWAY.get(name, usual[name])
    ]
    if names:
        told = ", ".join(f"{name} {asked[name]}" for name in names)
        say(f"Without effect on a frozen base: {told}; {_instead(settings)}")


def _instead(settings: TrainSettings) -> str:
    if settings.frozen_head == "ridge":
        return "a ridge head is solved in closed form"
    return (
        f"an MLP head takes batches of {MLP_BATCH}, a rate of {MLP_RATE:g} and at most "
        f"{settings.head_epochs} epochs (head_epochs in a training config)"
    )
