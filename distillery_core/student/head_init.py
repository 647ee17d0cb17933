"""The regression head before the first step: at the labels' means, or fitted to the base as it is.

A random head bends a pretrained base's features before it has learned anything itself. One that is
fitted first does not: linear probing, then fine-tuning (Kumar et al. 2022, arXiv 2202.10054). On
few articles it leaves the base too little to learn from (docs/decisions/0018).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from distillery_core.student.computing.device import autocast
from distillery_core.student.computing.memory import memory_named, too_much_to_read
from distillery_core.student.data import EncodedSplit
from distillery_core.student.features import computed, tokens_at_a_time
from distillery_core.student.heads import FOLDS, LinearHead, fit_ridge
from distillery_core.student.model_factory import inside_adapters, output_layer
from distillery_core.student.run import Say
from distillery_core.student.run_articles import fixed_subset
from distillery_core.student.settings import Precision, TrainSettings

MOST_ARTICLES = 2_000
"""That a ridge is fitted on, since the base reads each of them once more: of the seed's job of
7,000 articles and 3 epochs a thirtieth."""

STEEPEST = 8.0
"""Times the slope of the random head whose place it takes. What a step changes in the base, and
what bf16 rounds, moves the scores by as much more, and rates are chosen for random heads. Heads
on MiniLM were measured at 2 times (EmoBank) and 5 times (news); where a base gives nearly the same
features for all articles, as an unused pooler does, it would be 50 times."""


def start_head_at_means(model: Any, means: Sequence[float]) -> bool:
    """Set the head's bias to the mean training labels, so that step one need not learn the scale.

    Returns:
        False where the head has no bias (decoder bases): nothing was changed.
    """
    layer = output_layer(model)
    if layer.bias is None:
        return False
    with torch.no_grad():
        layer.bias.copy_(torch.as_tensor(means, dtype=layer.bias.dtype))
    return True


def fits_first(settings: TrainSettings) -> bool:
    """Whether the head is fitted to the base; no need where a checkpoint takes its place."""
    return settings.head_init == "ridge" and not settings.resume


def fit_head_first(
    model: Any,
    train: EncodedSplit,
    settings: TrainSettings,
    pad_token_id: int,
    device: torch.device,
    precision: Precision,
    say: Say,
) -> None:
    """Put a ridge regression on what the base makes of the training articles into the head.

    It stays as it was where there are too few articles to choose the ridge's strength, or the base
    gives no numbers, and `say` is told.

    Args:
        model: as it will be trained; it is moved to `device`.

    Raises:
        UserError: memory ran out.
    """
    plain = inside_adapters(model)
    chosen = fixed_subset(len(train.articles), MOST_ARTICLES, settings.seed)
    if len(chosen) < 2 * FOLDS:
        say(f"Head: begins at the means, {len(chosen)} training articles are too few for a ridge")
        return
    say(f"Head: the base reads {len(chosen):,} training articles for a ridge regression")
    if next(plain.parameters()).device != device:
        model.to(device)
    model.eval()
    articles = [train.articles[position] for position in chosen]
    tokens = tokens_at_a_time(device, settings.micro_batch_tokens)
    named = partial(too_much_to_read, 1, articles, tokens, "head")
    with autocast(device, precision), memory_named(named):
        read = computed(plain, articles, "head", pad_token_id, tokens).numpy()
    if not np.isfinite(read).all():
        say("Head: begins at the means, the base gives no numbers")
        return
    layer = output_layer(plain)
    head = fit_ridge(
        read,
        train.labels[chosen],
        intercept=layer.bias is not None,
        seed=settings.seed,
        steepest=STEEPEST * float(layer.weight.detach().norm(dim=1).max()),
    )
    put(layer, head)


def put(layer: Any, head: LinearHead) -> None:
    """Give a linear layer the numbers of a fitted head."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight))
        if layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(head.bias))
