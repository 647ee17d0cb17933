"""The device to plan for: the one at hand, or a card by name."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from math import inf

import torch

from distillery_core.errors import UserError
from distillery_core.student.computing.device import describe, pick_device, pick_precision
from distillery_core.student.planning.container import memory_limit
from distillery_core.student.planning.flops import Card, card_named, cards, peak_flops
from distillery_core.student.planning.step_memory import GIB, gib
from distillery_core.student.settings import Precision

_USABLE_SHARE = 0.94  # of a card's memory: the driver and a display keep the rest
_AT_HAND = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Target:
    """A device to plan for.

    Attributes:
        memory: bytes that a process may use.
        processes: that share the run; each has `memory`, and on GPUs one of its own.
        peak: FLOP/s of one device in matrix products, None where unknown.
        usd_per_hour: of one device; None where unknown.
        is_here: this machine's; a card that is only named may have other packages beside it.
    """

    name: str
    is_gpu: bool
    memory: float
    peak: float | None
    usd_per_hour: float | None
    bf16: bool
    is_here: bool
    processes: int = 1

    @property
    def devices(self) -> int:
        """How many a run has; a CPU is one, however many processes share it."""
        return self.processes if self.is_gpu else 1

    @property
    def words(self) -> str:
        """`4 x H100 (80 GiB)`."""
        return self.name if self.devices == 1 else f"{self.devices} x {self.name}"

    def room(self, digits: int = 1) -> str:
        """The memory in words."""
        each = f" for each of {self.processes} processes" if self.processes > 1 else ""
        return f"{gib(self.memory, digits)}{each}"

    def computes_in_bf16(self, precision: Precision) -> bool:
        """Whether training arithmetic of this precision is bf16 here."""
        return self.bf16 if precision == "auto" else precision == "bf16"


def target_for(
    device: str,
    memory_gib: float | None = None,
    usd_per_hour: float | None = None,
    *,
    processes: int = 1,
    here: int | None = None,
) -> Target:
    """A device by name ("RTX 4090", "A100 80GB", "RTX 4090 16 GB"), or the one at hand.

    Args:
        memory_gib: plan as if it had so much memory.
        usd_per_hour: what it costs, in place of the table's price.
        processes: that share the run, with a GPU each.
        here: those of this machine, which share the memory of a CPU; None for all of them.

    Raises:
        UserError: no such card is known, or the price is no amount.
    """
    target = _at_hand(device) if device in _AT_HAND else _from_table(device)
    if memory_gib is not None:
        target = replace(target, memory=memory_gib * GIB)
    sharing = 1 if target.is_gpu else here or processes
    target = replace(target, memory=target.memory / sharing, processes=processes)
    if usd_per_hour is None:
        return target
    if not 0 <= usd_per_hour < inf:
        raise UserError(f"{usd_per_hour} is no price", "--usd-per-hour", "dollars, 0 or more")
    return replace(target, usd_per_hour=usd_per_hour)


def _at_hand(device: str) -> Target:
    found = pick_device(device)  # type: ignore[arg-type]
    bf16 = pick_precision("auto", found) == "bf16"
    card = card_named(describe(found)) if found.type == "cuda" else None
    return Target(
        name=describe(found),
        is_gpu=found.type == "cuda",
        memory=_memory_of(found) * _USABLE_SHARE,
        peak=peak_flops(found, "bf16" if bf16 else "float32"),
        usd_per_hour=card.usd_per_hour if card else None,
        bf16=bf16,
        is_here=True,
    )


def _memory_of(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return float(min(physical, memory_limit() or physical))


def _from_table(name: str) -> Target:
    card = card_named(name)
    if card is None:
        known = ", ".join(card.name for card in cards())
        raise UserError(f"no card {name!r} is known", where="--device", hint=f"known: {known}")
    size = _named_size(name) or card.memory_gib
    card = _of_size(card, size)
    return Target(
        name=f"{card.name} ({size:g} GiB)",
        is_gpu=True,
        memory=size * GIB * _USABLE_SHARE,
        peak=card.bf16_tflops * 1e12,
        usd_per_hour=card.usd_per_hour,
        bf16=card.bf16,
        is_here=False,
    )


def _of_size(card: Card, memory_gib: float) -> Card:
    """The variant of a card that is sold with so much memory; the card itself if there is none."""
    sold = [c for c in cards() if c.name.startswith(card.name) and c.memory_gib == memory_gib]
    return sold[0] if sold else card


def _named_size(name: str) -> float | None:
    """16.0 in "RTX 4090 16GB"."""
    words = name.lower().replace("gib", "gb").replace("gb", " gb ").split()
    numbers = [words[i - 1] for i, word in enumerate(words) if word == "gb" and i]
    return float(numbers[-1]) if numbers and numbers[-1].replace(".", "").isdigit() else None
