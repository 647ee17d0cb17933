"""What `auto` comes to for a base on a device, decided once and before anything is loaded, so that
the plan and the model that is built cannot disagree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from transformers.utils.import_utils import is_flash_attn_2_available

from distillery_core.errors import UserError
from distillery_core.student.computing.device import processes_here
from distillery_core.student.mean_pooling import pools_mean
from distillery_core.student.model_factory import (
    FLASH,
    FLEX,
    FUSED,
    locate,
    quiet_transformers,
    refuse_too_long,
)
from distillery_core.student.planning.shape import Shape, base_config, shape_of
from distillery_core.student.planning.target import Target, target_for
from distillery_core.student.settings import Pooling, TrainSettings


@dataclass(frozen=True)
class Decided:
    """A run before its method is chosen: `settings` with pooling and attention decided, the base
    under its head, and what it is trained on."""

    settings: TrainSettings
    shape: Shape
    target: Target


def decide(
    settings: TrainSettings,
    outputs: int,
    *,
    device: str,
    processes: int = 1,
    here: int | None = None,
    usd_per_hour: float | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Decided:
    """What a run, or its plan, comes to on a device; only the base's configuration is read.

    Args:
        outputs: of the head, one a dimension.
        device: auto, cpu, cuda, or the name of a card.
        processes: that share the run; `here` are those of this machine, which share its memory,
            None for those that were started.
        usd_per_hour: what the device costs, in place of the price in the table of cards.
        say: told where the base's description could not be had.

    Raises:
        UserError: no such base or card, the base reads no articles of that length or not their
            mean, flex attention on a CPU, or no price.
    """
    refuse_too_long(base_config(settings.model_name), settings)
    pooling = pooling_of(settings, say)
    shape = shape_of(settings.model_name, outputs, pooling)
    target = target_for(
        device,
        settings.memory_limit_gib,
        usd_per_hour,
        processes=processes,
        here=processes_here() if here is None else here,
    )
    attention = attention_of(settings, shape, target)
    return Decided(replace(settings, pooling=pooling, attention=attention), shape, target)


def pooling_of(settings: TrainSettings, say: Callable[[str], None] = lambda line: None) -> Pooling:
    """What the head of a base reads, `first` or `mean`; a base that is no BERT has its own way,
    which `first` leaves alone.

    Args:
        say: told where the base's description of it could not be had.

    Raises:
        UserError: no such base, or the mean of one that is no BERT.
    """
    if settings.method == "frozen" and settings.frozen_head == "mlp":
        return "first"  # no layer: that head reads the mean of the states (features.py)
    config = base_config(settings.model_name)
    with quiet_transformers():
        by_mean = pools_mean(config, locate(settings.model_name), settings.pooling, say)
    return "mean" if by_mean else "first"


def attention_of(settings: TrainSettings, shape: Shape, target: Target) -> str:
    """transformers' attention implementation that a run takes on a device.

    Raises:
        UserError: flex attention on a CPU.
    """
    refuse_flex_on_a_cpu(settings.attention, on_gpu=target.is_gpu)
    return pick_attention(
        settings.attention,
        on_gpu=target.is_gpu,
        has_flash=target.is_here and is_flash_attn_2_available(),
        in_bf16=target.computes_in_bf16(settings.precision),
        packs=shape.packs_by_flash and settings.packing is not False and target.processes == 1,
    )


def refuse_flex_on_a_cpu(attention: str, *, on_gpu: bool) -> None:
    """Raise a UserError for flex attention on a CPU, where torch cannot train with it."""
    if attention == FLEX and not on_gpu:
        raise UserError(
            f"{FLEX} trains only on a GPU",
            where="attention",
            hint="leave attention out: a CPU has its own way to pack articles",
        )


def pick_attention(asked: str, *, on_gpu: bool, has_flash: bool, in_bf16: bool, packs: bool) -> str:
    """As asked; `auto` is flash attention where it lets articles be packed, else the fused one.

    Args:
        has_flash: flash-attn is installed.
        in_bf16: of the training arithmetic; flash attention computes no float32.
        packs: the run's articles may be packed with it (packing.py).
    """
    if asked != "auto":
        return asked
    return FLASH if on_gpu and has_flash and in_bf16 and packs else FUSED
