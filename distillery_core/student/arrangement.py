"""How a run's articles are computed: packed or not, how many tokens at a time, padded or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator

from distillery_core.errors import UserError
from distillery_core.student.computing.packing import (
    attend_by_article,
    attends_by_article,
    can_pack,
    packs_by_default,
)
from distillery_core.student.planning.plan import (
    CPU_MICRO_TOKENS,
    CPU_PACKED_TOKENS,
    GPU_MICRO_TOKENS,
)
from distillery_core.student.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How an optimizer batch is cut into pieces.

    Attributes:
        packed: a piece's articles stand one after another in a row, nothing padded.
        micro_tokens: tokens of a piece, padding counted.
        may_pad: articles of unlike length may be padded to stand in one piece.
        bucketed: batches are made of articles of like length.
    """

    packed: bool
    micro_tokens: int
    may_pad: bool
    bucketed: bool


def arrange(
    settings: TrainSettings, fitting: int, model: Any, accelerator: Accelerator
) -> Arrangement:
    """How a run is arranged; a model that packs on a CPU is told to attend by article.

    Args:
        fitting: tokens that the plan says fit at a time, 0 where it does not know.

    Raises:
        UserError: packing was asked for and cannot be done.
    """
    device = accelerator.device
    packed = _packs(model, settings, accelerator)
    if packed and attends_by_article(model, settings.attention, device):
        attend_by_article(model)
    micro_tokens, may_pad = _at_a_time(settings, fitting, device, packed)
    # However pieces are cut and whether they are packed, the batches are the same.
    on_gpu = device.type != "cpu"
    bucketed = on_gpu if settings.bucket_by_length is None else settings.bucket_by_length
    return Arrangement(packed, micro_tokens, may_pad, bucketed)


def _packs(model: Any, settings: TrainSettings, accelerator: Accelerator) -> bool:
    where = settings.attention, accelerator.device
    alone = accelerator.num_processes == 1
    if settings.packing is None:
        return alone and packs_by_default(model, *where)
    if settings.packing and not can_pack(model, *where):
        raise UserError("packing needs a decoder base, or BERT on a CPU", where="packing")
    if settings.packing and not alone:
        raise UserError("packing works on one device", where="packing")
    return settings.packing


def _at_a_time(
    settings: TrainSettings, fitting: int, device: torch.device, packed: bool
) -> tuple[int, bool]:
    """Tokens computed at a time, and whether articles may be padded for it."""
    if settings.micro_batch_tokens is not None:
        return settings.micro_batch_tokens, True
    if settings.fit_batch:
        return settings.effective_batch * settings.max_length, True
    if device.type == "cpu":
        usual = CPU_PACKED_TOKENS if packed else CPU_MICRO_TOKENS
        return min(usual, fitting or usual), False
    return fitting or GPU_MICRO_TOKENS, True
