"""How many FLOPs training takes, and what share of the device's peak a run reaches (MFU).

Model FLOPs as in PaLM (arXiv 2204.02311, appendix B): each token costs 2 FLOPs per matrix
parameter in the forward pass and 4 in the backward pass, and attention adds 12 * layers * hidden
* length (half of it where a token sees only what stands before it). LoRA and QLoRA compute no
gradient of the frozen matrices: 4 instead of 6 per parameter. What is computed again under gradient
checkpointing is not counted, nor is padding: utilisation is about useful work.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from distillery_core.student.planning.shape import Shape

_TABLE = Path(__file__).with_name("devices.json")
_GEMM_SIDE = 1024
_GEMM_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU of the shipped table (its head says what the numbers are)."""

    name: str
    memory_gib: float
    bf16_tflops: float
    usd_per_hour: float | None
    bf16: bool = True


@lru_cache(maxsize=1)
def cards() -> tuple[Card, ...]:
    """The shipped table."""
    rows: list[dict[str, Any]] = json.loads(_TABLE.read_text(encoding="utf-8"))["devices"]
    return tuple(Card(**row) for row in rows)


def card_named(name: str) -> Card | None:
    """The card whose words all stand in `name` ("NVIDIA A100-SXM4-80GB"), the most telling one."""
    plain = "".join(c for c in name.lower() if c.isalnum())
    words = name.lower().replace("-", " ").split()
    found = [
        card
        for card in cards()
        if card.name.lower().replace(" ", "") in plain
        or set(card.name.lower().split()) <= set(words)
    ]
    return max(found, key=lambda card: len(card.name), default=None)


def train_flops(
    shape: Shape, lengths: Iterable[int], frozen_base: bool, *, reads_one: bool = False
) -> float:
    """Model FLOPs of one pass over articles of these lengths (tokens), forward and backward.

    Args:
        reads_one: the last layer is computed for one token an article (last_layer.py), so its other
            tokens count nothing.
    """
    per_parameter = 4 if frozen_base else 6
    layers = shape.layers - 1 if reads_one and shape.by_token else shape.layers
    per_pair = 12 * layers * shape.hidden * (0.5 if shape.causal else 1.0)
    behind = shape.by_token if reads_one else 0
    found = 0.0
    for length in lengths:
        parameters = shape.linear * length - behind * (length - 1)
        found += per_parameter * parameters + per_pair * length * length
    return found


def peak_flops(device: torch.device, precision: str) -> float | None:
    """FLOP/s the device can do in matrix products: the table's on a GPU, measured on a CPU.

    None where nothing is known: an unknown GPU, or float32 on one.
    """
    if device.type == "cuda":
        card = card_named(torch.cuda.get_device_name(device))
        return card.bf16_tflops * 1e12 if card and precision == "bf16" else None
    return _measured_peak(precision, torch.get_num_threads())


@lru_cache(maxsize=4)
def _measured_peak(precision: str, threads: int) -> float:
    """With as many threads as training has; kept, since a run asks more than once."""
    return matrix_peak(precision)


def matrix_peak(precision: str, clock: Callable[[], float] = time.perf_counter) -> float:
    """FLOP/s of the best of a few products of 1024 x 1024 matrices on this CPU.

    Args:
        precision: bf16, else float32.
        clock: gives seconds: wall time, or `time.process_time` for FLOP per second of CPU time.
    """
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    side = _GEMM_SIDE
    with torch.random.fork_rng(devices=[]):
        left, right = torch.randn(side, side).to(dtype), torch.randn(side, side).to(dtype)
    seconds = []
    for _ in range(_GEMM_REPEATS):
        started = clock()
        torch.mm(left, right)
        seconds.append(clock() - started)
    return 2.0 * side**3 / min(seconds)
