"""Which method fits a device, and what a run will take: from the base's configuration alone.

Memory of a training step, bytes (checked against a measured step by tests/student/test_plan.py):

    weights      4 per parameter when all are trained (float32), 2 or 4 for a frozen base, 0.516 for
                 a frozen matrix in 4 bits (nf4 with double quantisation)
    gradients    4 per trained parameter
    optimizer    8 per trained parameter (AdamW keeps two float32 means)
    casts        2 per matrix parameter, where float32 weights are used in bf16
    activations  per token and layer, from what PyTorch keeps for the backward pass:
                 norms 4 * hidden in float32; attention and feed-forward in the compute type
                 4 * hidden + 3 * key_value + 4 * inner (gated), or 2 * hidden + 2 * key_value
                 + 2 * inner (plain). Under gradient checkpointing one
                 such layer, and `hidden` numbers in float32 for each of them
    workspace    gradients of one layer's activations, and the largest 4-bit matrix unpacked
    overhead     the runtime itself: CUDA's context and the allocator's slack
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from distillery_core.errors import UserError
from distillery_core.student.flops import card_named, cards, peak_flops, train_flops
from distillery_core.student.settings import Method, TrainSettings
from distillery_core.student.shape import Shape

GIB = 2**30
USABLE_SHARE = 0.94
"""Of a card's memory: the driver and a display keep the rest."""

ASSUMED_UTILISATION = 0.40
"""Of the peak, for the estimate of hours; a run's own is in training_history.json."""

NF4_BYTES = 0.516
GPU_MICRO_TOKENS = 16_384
CPU_MICRO_TOKENS = 1024
_ENOUGH_TOKENS = 2048  # below this a GPU idles between launches
_GPU_OVERHEAD = 1.0 * GIB
_CPU_OVERHEAD = 0.7 * GIB
_IN_ORDER: tuple[Method, ...] = ("full", "lora", "qlora")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one training step, by what they are for."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    overhead: float

    @property
    def total(self) -> float:
        """All together."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.overhead


@dataclass(frozen=True, slots=True)
class Target:
    """A device to plan for.

    Attributes:
        memory: bytes that a run may use.
        peak: FLOP/s in matrix products, None where unknown.
        is_here: this machine's; a card that is only named may have other packages beside it.
        usd_per_hour: None where unknown.
    """

    name: str
    is_gpu: bool
    memory: float
    peak: float | None
    usd_per_hour: float | None
    bf16: bool
    is_here: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """One method on one device.

    Attributes:
        micro_tokens: the most padded tokens that fit at a time; 0 where not even one article does.
        missing: a package that it needs and that is not installed on this machine.
        why_not: why it cannot be taken, None if it can.
    """

    method: Method
    checkpointing: bool
    micro_tokens: int
    memory: Memory
    trained: int
    missing: str | None
    why_not: str | None

    @property
    def fits(self) -> bool:
        """Whether a run with it will work."""
        return self.why_not is None


def trained_parameters(shape: Shape, method: Method, rank: int) -> int:
    """How many parameters a method trains."""
    if method == "full":
        return shape.parameters
    return shape.head if method == "frozen" else rank * shape.linear_sides + shape.head


def step_memory(
    shape: Shape,
    method: Method,
    tokens: int,
    *,
    rank: int = 16,
    bf16: bool = True,
    frozen_bytes: int = 2,
    checkpointing: bool = False,
    overhead: float = 0.0,
) -> Memory:
    """Memory of one training step with so many padded tokens at a time, in bytes."""
    trained = trained_parameters(shape, method, rank)
    kept = 0.0 if method == "frozen" else tokens * _kept_per_token(shape, bf16, checkpointing)
    casts = 2 * shape.linear if bf16 and method == "full" else 0
    workspace = tokens * 4 * ((2 if shape.gated else 1) * shape.inner + shape.hidden)
    if method == "qlora":
        workspace += 2 * shape.largest
    return Memory(
        weights=_weight_bytes(shape, method, trained, frozen_bytes) + casts,
        gradients=4.0 * trained,
        optimizer=8.0 * trained,
        activations=kept + workspace,
        overhead=overhead,
    )


def _weight_bytes(shape: Shape, method: Method, trained: int, frozen_bytes: int) -> float:
    if method in ("full", "frozen"):
        return 4.0 * shape.parameters
    frozen = shape.parameters - shape.head
    if method == "lora":
        return float(frozen_bytes * frozen + 4 * trained)
    return NF4_BYTES * shape.linear + 2.0 * (frozen - shape.linear) + 4.0 * trained


def _kept_per_token(shape: Shape, bf16: bool, checkpointing: bool) -> float:
    width = 2 if bf16 else 4
    if shape.gated:
        inside = 4 * shape.hidden + 3 * shape.key_value + 4 * shape.inner
    else:
        inside = 2 * shape.hidden + 2 * shape.key_value + 2 * shape.inner
    layer = 4 * 4 * shape.hidden + width * inside
    if checkpointing:
        return layer + 4 * shape.hidden * shape.layers
    return layer * shape.layers


def target_for(device: str, memory_gib: float | None = None) -> Target:
    """A device by name ("RTX 4090", "A100 80GB", "RTX 4090 16 GB"), or the one at hand.

    Args:
        memory_gib: plan as if it had so much memory.

    Raises:
        UserError: no such card is known.
    """
    target = _at_hand(device) if device in ("auto", "cpu", "cuda") else _from_table(device)
    if memory_gib is None:
        return target
    return replace(target, memory=memory_gib * GIB)


def _at_hand(device: str) -> Target:
    from distillery_core.student.device import describe, pick_device, pick_precision

    found = pick_device(device)  # type: ignore[arg-type]
    bf16 = pick_precision("auto", found) == "bf16"
    peak = peak_flops(found, "bf16" if bf16 else "float32")
    if found.type == "cpu":
        memory = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        return Target(describe(found), False, memory * USABLE_SHARE, peak, None, bf16, is_here=True)
    total = float(torch.cuda.get_device_properties(found).total_memory)
    card = card_named(describe(found))
    price = card.usd_per_hour if card else None
    return Target(describe(found), True, total * USABLE_SHARE, peak, price, bf16, is_here=True)


def _from_table(name: str) -> Target:
    card = card_named(name)
    if card is None:
        known = ", ".join(card.name for card in cards())
        raise UserError(f"no card {name!r} is known", where="--device", hint=f"known: {known}")
    size = _named_size(name) or card.memory_gib
    sold = [one for one in cards() if one.name.startswith(card.name) and one.memory_gib == size]
    card = sold[0] if sold else card
    return Target(
        name=f"{card.name} ({size:g} GiB)",
        is_gpu=True,
        memory=size * GIB * USABLE_SHARE,
        peak=card.bf16_tflops * 1e12,
        usd_per_hour=card.usd_per_hour,
        bf16=True,
        is_here=False,
    )


def _named_size(name: str) -> float | None:
    """16.0 in "RTX 4090 16GB"."""
    words = name.lower().replace("gib", "gb").replace("gb", " gb ").split()
    numbers = [words[i - 1] for i, word in enumerate(words) if word == "gb" and i]
    return float(numbers[-1]) if numbers and numbers[-1].replace(".", "").isdigit() else None


def options(shape: Shape, settings: TrainSettings, target: Target) -> list[Choice]:
    """Full, LoRA and QLoRA on a device, each with as much at a time as fits."""
    return [choice_of(shape, settings, target, method) for method in _IN_ORDER]


def choice_of(shape: Shape, settings: TrainSettings, target: Target, method: Method) -> Choice:
    """One method on a device: without gradient checkpointing if that leaves room for enough."""
    asked = settings.gradient_checkpointing
    modes = (False, True) if asked is None else (asked,)
    tried = [_sized(shape, settings, target, method, checkpointing) for checkpointing in modes]
    enough = min(_most_tokens(settings, target), _ENOUGH_TOKENS)
    return next((one for one in tried if one.micro_tokens >= enough), tried[-1])


def _most_tokens(settings: TrainSettings, target: Target) -> int:
    """Padded tokens that are computed at a time where memory does not matter."""
    one = settings.max_length
    usual = GPU_MICRO_TOKENS if target.is_gpu else CPU_MICRO_TOKENS
    asked = usual if settings.micro_batch_tokens is None else settings.micro_batch_tokens
    return min(max(asked, one), settings.batch_size * one)


def _sized(
    shape: Shape, settings: TrainSettings, target: Target, method: Method, checkpointing: bool
) -> Choice:
    """The most tokens at a time that fit; memory grows evenly with them."""

    def memory(tokens: int) -> Memory:
        return step_memory(
            shape,
            method,
            tokens,
            rank=settings.lora_rank,
            bf16=target.bf16 and settings.precision != "float32",
            frozen_bytes=2 if target.is_gpu and settings.base_precision != "float32" else 4,
            checkpointing=checkpointing,
            overhead=_GPU_OVERHEAD if target.is_gpu else _CPU_OVERHEAD,
        )

    one = settings.max_length
    empty, single = memory(0).total, memory(one).total
    room = int((target.memory - empty) / ((single - empty) / one))
    tokens = min(room, _most_tokens(settings, target)) if room >= one else 0
    need = memory(tokens or one)
    missing = missing_package(method)
    return Choice(
        method=method,
        checkpointing=checkpointing,
        micro_tokens=tokens,
        memory=need,
        trained=trained_parameters(shape, method, settings.lora_rank),
        missing=missing,
        why_not=_why_not(target, need, bool(tokens), missing),
    )


_NEEDED: dict[Method, dict[str, str]] = {
    "lora": {"peft": "pip install 'distillery-core[lora]'"},
    "qlora": {
        "peft": "pip install 'distillery-core[lora]'",
        "bitsandbytes": "pip install bitsandbytes",
    },
}


def missing_package(method: Method) -> str | None:
    """`bitsandbytes (pip install bitsandbytes)` where a method needs it and it is not there."""
    for package, command in _NEEDED.get(method, {}).items():
        if importlib.util.find_spec(package) is None:
            return f"{package} ({command})"
    return None


def _why_not(target: Target, need: Memory, has_room: bool, missing: str | None) -> str | None:
    if not has_room:
        return f"needs {gib(need.total)}, there are {gib(target.memory)}"
    return f"needs {missing}" if missing and target.is_here else None


def choose(shape: Shape, settings: TrainSettings, target: Target) -> Choice:
    """The method asked for, or with `auto` the first of full, LoRA, QLoRA that fits.

    Raises:
        UserError: none fits, with what each would need.
    """
    if settings.method != "auto":
        return choice_of(shape, settings, target, settings.method)
    tried = options(shape, settings, target)
    for choice in tried:
        if choice.fits:
            return choice
    needs = "; ".join(f"{choice.method}: {choice.why_not}" for choice in tried)
    raise UserError(
        f"{settings.model_name} cannot be trained on {target.name}: {needs}",
        where="--method auto",
        hint="take a smaller base, a shorter --max-length, or --method frozen",
    )


def gib(amount: float) -> str:
    """Bytes in words: `14.2 GiB`."""
    return f"{amount / GIB:.1f} GiB"


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be trained on.

    `lengths` are tokens of each article; `source` says where they come from.
    """

    lengths: tuple[int, ...]
    source: str

    @property
    def tokens(self) -> int:
        """Tokens of one epoch."""
        return sum(self.lengths)


SEED_ARTICLES = 7000
"""The seed's job, taken where there is no dataset yet."""

_CHARS_PER_TOKEN = 4.0


def workload(char_counts: list[int], max_length: int, source: str) -> Workload:
    """Articles by their characters, four a token (English); none is the seed's job."""
    if not char_counts:
        return Workload((max_length,) * SEED_ARTICLES, f"{SEED_ARTICLES:,} articles assumed, full")
    lengths = tuple(min(max_length, max(8, int(n / _CHARS_PER_TOKEN))) for n in char_counts)
    return Workload(lengths, source)


@dataclass(frozen=True, slots=True)
class Plan:
    """What `distillery train --plan` prints."""

    settings: TrainSettings
    shape: Shape
    target: Target
    work: Workload
    choices: tuple[Choice, ...]

    @property
    def chosen(self) -> Choice | None:
        """The one that would be taken; None where nothing fits."""
        return next((choice for choice in self.choices if choice.fits), None)

    def hours(self, choice: Choice) -> float | None:
        """Estimated time of all epochs, or None for a device of unknown speed."""
        if self.target.peak is None:
            return None
        frozen = choice.method != "full"
        flops = train_flops(self.shape, self.work.lengths, frozen)
        again = 2.0 * self.shape.linear * self.work.tokens if choice.checkpointing else 0.0
        rate = self.target.peak * ASSUMED_UTILISATION
        return self.settings.epochs * (flops + again) / rate / 3600

    def usd(self, choice: Choice) -> float | None:
        """What the hours cost, or None where the price is not known."""
        hours, price = self.hours(choice), self.target.usd_per_hour
        return None if hours is None or price is None else hours * price

    def as_json(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        return {
            "model_name": self.settings.model_name,
            "device": self.target.name,
            "device_memory_bytes": int(self.target.memory),
            "num_parameters": self.shape.parameters,
            "articles": len(self.work.lengths),
            "tokens_per_epoch": self.work.tokens,
            "tokens_from": self.work.source,
            "epochs": self.settings.epochs,
            "assumed_utilisation": ASSUMED_UTILISATION,
            "chosen": self.chosen.method if self.chosen else None,
            "methods": [self._row(choice) for choice in self.choices],
        }

    def _row(self, choice: Choice) -> dict[str, Any]:
        memory = choice.memory
        return {
            "method": choice.method,
            "fits": choice.fits,
            "why_not": choice.why_not,
            "missing_package": choice.missing,
            "gradient_checkpointing": choice.checkpointing,
            "tokens_at_a_time": choice.micro_tokens,
            "num_trainable_parameters": choice.trained,
            "memory_bytes": {
                "weights": int(memory.weights),
                "gradients": int(memory.gradients),
                "optimizer": int(memory.optimizer),
                "activations": int(memory.activations),
                "overhead": int(memory.overhead),
                "total": int(memory.total),
            },
            "hours": self.hours(choice),
            "usd": self.usd(choice),
        }

    def lines(self) -> Iterator[str]:
        """The plan as it is printed."""
        shape, work = self.shape, self.work
        yield f"{self.settings.model_name} on {self.target.name}"
        yield (
            f"  {shape.parameters:,} parameters (no language-model head), {shape.layers} layers, "
            f"width {shape.hidden}"
        )
        yield (
            f"  {len(work.lengths):,} articles x {self.settings.epochs} epochs, about "
            f"{work.tokens:,} tokens an epoch ({work.source})"
        )
        yield f"  {gib(self.target.memory)} of memory can be used"
        for choice in self.choices:
            yield from self._choice_lines(choice)
        yield self._verdict()

    def _choice_lines(self, choice: Choice) -> Iterator[str]:
        memory = choice.memory
        extra = " with gradient checkpointing" if choice.checkpointing else ""
        yield f"{choice.method}{extra}: {choice.trained:,} trained parameters"
        yield (
            f"  weights {gib(memory.weights)} + gradients {gib(memory.gradients)} + optimizer "
            f"{gib(memory.optimizer)} + activations {gib(memory.activations)} "
            f"({choice.micro_tokens or self.settings.max_length:,} tokens at a time) + overhead "
            f"{gib(memory.overhead)} = {gib(memory.total)}"
        )
        if choice.micro_tokens:
            needs = f" with {choice.missing}" if choice.missing else ""
            yield f"  fits{needs}; {self._effort(choice)}"
        else:
            yield f"  does not fit: {choice.why_not}"

    def _effort(self, choice: Choice) -> str:
        hours, usd = self.hours(choice), self.usd(choice)
        if hours is None:
            return "its speed on this device is not known"
        time = f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"
        cost = f"about {usd:.2f} USD" if usd is not None else "no price known"
        return f"about {time} at {ASSUMED_UTILISATION:.0%} of the peak, {cost}"

    def _verdict(self) -> str:
        if self.chosen is None:
            return "Nothing fits: take a smaller base, a shorter --max-length, or --method frozen."
        return f"--method {self.settings.method} takes {self.chosen.method}."


def make_plan(settings: TrainSettings, shape: Shape, target: Target, work: Workload) -> Plan:
    """The plan of a run: every method with `auto`, else the one asked for."""
    if settings.method in ("auto", "frozen"):
        found = options(shape, settings, target)
    else:
        found = [choice_of(shape, settings, target, settings.method)]
    return Plan(settings, shape, target, work, tuple(found))
