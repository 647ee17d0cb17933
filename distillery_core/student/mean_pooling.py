"""A layer that brings the mean of an article's tokens to the token that BERT's head reads.

BERT's head reads the first token. Sentence encoders (all-MiniLM) are pretrained so that the mean of
the tokens speaks, and their first token says little (docs/decisions/0015). So one layer more stands
on top: its attention begins evenly spread, which is a mean, and its feed-forward part begins at
zero. It is trained like the others, and what is saved is a plain BERT that transformers loads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils import hub as transformers_hub

from distillery_core.errors import UserError
from distillery_core.student.settings import Pooling

_DESCRIPTION = "1_Pooling/config.json"
"""Where sentence-transformers says how a model was pretrained to be pooled."""

_WEIGHT = 8.0
"""Of the mean beside the first token's own state, which the layer's skip connection adds."""

_PART_OF_TANH = 0.5
"""The pooler's tanh is given half of a state of unit variance, where it is nearly straight."""


def pools_mean(
    config: Any, source: str, asked: Pooling, say: Callable[[str], None] = lambda line: None
) -> bool:
    """Whether a base gets the layer: when asked to, or unasked where it was pretrained that way.

    Args:
        source: the base's folder or hub id.
        say: told where it is not known how the base was pretrained.

    Raises:
        UserError: asked for with a base that is no BERT.
    """
    is_bert = config.model_type == "bert"
    if asked == "mean" and not is_bert:
        what = f"pooling is mean, which a {config.model_type} base cannot do"
        raise UserError(what, where="pooling", hint="leave it out, or take a BERT base")
    if not is_bert or asked != "auto":
        return asked == "mean"
    try:
        return _pretrained_so(source)
    except _NotHadError as error:
        say(f"The head reads the first token: the base's {_DESCRIPTION} could not be had ({error})")
        return False


class _NotHadError(Exception):
    """Whether a base has a description cannot be told."""


def _pretrained_so(source: str) -> bool:
    found = _described_in(source)
    if found is None:
        return False
    with suppress(OSError, ValueError):
        given = json.loads(found.read_text(encoding="utf-8"))
        return given.get("pooling_mode") == "mean" or given.get("pooling_mode_mean_tokens") is True
    return False


def _described_in(source: str) -> Path | None:
    """The description of a folder or hub id, None where it has none.

    Raises:
        _NotHadError: the hub does not answer.
    """
    if Path(source).is_dir():
        inside = Path(source) / _DESCRIPTION
        return inside if inside.is_file() else None
    hub: Any = transformers_hub
    kept = hub.try_to_load_from_cache(source, _DESCRIPTION, cache_dir=hub.constants.HF_HUB_CACHE)
    if kept is hub._CACHED_NO_EXIST:
        return None  # as the hub said when it was last asked
    try:
        return Path(hub.cached_file(source, _DESCRIPTION))
    except Exception as error:  # whatever keeps the hub from answering is no reason not to train
        if isinstance(error, OSError) and error.__cause__ is None:
            return None  # it answered that there is no such file; any other error has a cause
        raise _NotHadError(str(error).partition("\n")[0]) from error


def last_layer(config: Any) -> str:
    """The name of the layer in the model; held in 4 bits it could not be set."""
    return f"bert.encoder.layer.{config.num_hidden_layers - 1}"


def start_as_mean(model: Any) -> None:
    """Set the last layer and the pooler of a BERT classifier so that its head reads the mean."""
    layer, pooler = model.bert.encoder.layer[-1], model.bert.pooler
    attention = layer.attention.self
    # Drawn the same whatever the run's seed: they change nothing yet, and features of a frozen base
    # are kept by its weights' hash.
    same = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in (attention.key, layer.intermediate.dense):
            drawn = torch.randn(part.weight.shape, generator=same)
            part.weight.copy_(model.config.initializer_range * drawn)
        for part in (attention.query, layer.output.dense):
            part.weight.zero_()
            part.bias.zero_()
        _set_diagonal(attention.value, 1.0)
        _set_diagonal(layer.attention.output.dense, _WEIGHT)
        _set_diagonal(pooler.dense, _PART_OF_TANH)


def _set_diagonal(linear: nn.Linear, value: float) -> None:
    linear.weight.copy_(value * torch.eye(linear.in_features))
    linear.bias.zero_()
