"""What was asked for and the method that a run takes does not read; a head on a frozen base has
its own list (frozen/settings.py)."""

from __future__ import annotations

from collections.abc import Callable

from distillery_core.student.settings import Method, TrainSettings

_OF_FROZEN = ("frozen_head", "head_epochs")
_OF_ADAPTERS = ("lora_rank", "lora_alpha", "lora_dropout")
_NOT_READ_BY: dict[Method, tuple[str, ...]] = {
    "full": (*_OF_FROZEN, *_OF_ADAPTERS, "base_precision"),
    "lora": _OF_FROZEN,
    "qlora": (*_OF_FROZEN, "base_precision"),
}


def say_what_has_no_effect(
    settings: TrainSettings, method: Method, say: Callable[[str], None]
) -> None:
    """Say in one line which settings of other methods were asked for, if any.

    Args:
        method: that is taken; with `auto` another than was asked for.
    """
    usual = TrainSettings()
    told = [
        f"{name} {getattr(settings, name)}"
        for name in _NOT_READ_BY[method]
        if getattr(settings, name) != getattr(usual, name)
    ]
    if told:
        say(f"Without effect with --method {method}: {', '.join(told)}")
