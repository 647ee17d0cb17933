"""Reads back what a training record calls its method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from distillery_core.student.settings import FrozenHead, frozen_as_recorded, was_frozen

_HEADS: tuple[FrozenHead, ...] = get_args(FrozenHead)


def frozen_head(metadata: Mapping[str, Any]) -> FrozenHead | None:
    """The head that a run fitted on a frozen base; None where the base was trained as well.

    Args:
        metadata: training_metadata.json; early ones name the head only under `settings`.
    """
    method, asked = str(metadata.get("method")), metadata.get("settings")
    if not was_frozen(method):
        return None
    named = asked.get("frozen_head") if isinstance(asked, Mapping) else None
    told = (head for head in _HEADS if method == frozen_as_recorded(head))
    return next(told, "mlp" if named == "mlp" else "ridge")
