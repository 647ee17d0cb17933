"""Which methods fit a device, and what a run will take: from the base's configuration alone."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from distillery_core.errors import UserError
from distillery_core.student.computing.attention import FUSED_ABOVE
from distillery_core.student.model_factory import FUSED
from distillery_core.student.planning.auto import attention_of
from distillery_core.student.planning.flops import train_flops
from distillery_core.student.planning.shape import Shape
from distillery_core.student.planning.step_memory import (
    GIB,
    Memory,
    digits_apart,
    gib,
    step_memory,
    trained_parameters,
)
from distillery_core.student.planning.target import Target
from distillery_core.student.settings import Method, TrainSettings

ASSUMED_UTILISATION = 0.40
"""Of the peak, for the estimate of hours; a run's own is in training_history.json."""

SEED_ARTICLES = 7000
"""The seed's job, taken where there is no dataset yet."""

GPU_MICRO_TOKENS = 16_384
CPU_MICRO_TOKENS = 1024
CPU_PACKED_TOKENS = 2048
_ENOUGH_TOKENS = 2048  # below this a GPU idles between launches
_GPU_OVERHEAD = 1.0 * GIB
_CPU_OVERHEAD = 0.7 * GIB
_CHARS_PER_TOKEN = 4.0
_IN_ORDER: tuple[Method, ...] = ("full", "lora", "qlora")
_PEFT = {"peft": "pip install 'distillery-core[lora]'"}
_NEEDED: dict[Method, dict[str, str]] = {
    "lora": _PEFT,
    "qlora": _PEFT | {"bitsandbytes": "pip install bitsandbytes"},
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One method on one device.

    Attributes:
        micro_tokens: the most padded tokens that fit at a time; 0 where not even one article does.
        missing: what it needs and this machine has not, in words; None if nothing.
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

    @property
    def would_fit(self) -> bool:
        """Whether nothing but a package is missing."""
        return not self.fits and self.micro_tokens > 0


def choose(shape: Shape, settings: TrainSettings, target: Target) -> Choice:
    """The method asked for, or with `auto` the first of full, LoRA, QLoRA that fits.

    Memory alone decides, so that QLoRA is taken on a CPU too: bitsandbytes works there, and costs
    little time (512 tokens through four layers of Qwen2.5-0.5B: 0.90 s a step, 0.88 s with LoRA).

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
    install = next((f"install {one.missing}, or " for one in tried if one.would_fit), "")
    fewer = "fewer --devices, " if target.processes > 1 else ""
    raise UserError(
        f"{settings.model_name} cannot be trained on {target.name}: {needs}",
        where="--method auto",
        hint=f"{install}take {fewer}a smaller base, a shorter --max-length, or --method frozen",
    )


def options(shape: Shape, settings: TrainSettings, target: Target) -> list[Choice]:
    """Full, LoRA and QLoRA on a device, each with as much at a time as fits."""
    return [choice_of(shape, settings, target, method) for method in _IN_ORDER]


def choice_of(shape: Shape, settings: TrainSettings, target: Target, method: Method) -> Choice:
    """One method on a device: without gradient checkpointing if that leaves room for enough."""
    asked = settings.gradient_checkpointing
    modes = (False, True) if asked is None and method != "frozen" else (bool(asked),)
    tried = [_sized(shape, settings, target, method, checkpointing) for checkpointing in modes]
    enough = min(
        _most_tokens(shape, settings, target, method),
        _ENOUGH_TOKENS if target.is_gpu else CPU_MICRO_TOKENS,
    )
    return next((one for one in tried if one.micro_tokens >= enough), tried[-1])


def _sized(
    shape: Shape, settings: TrainSettings, target: Target, method: Method, checkpointing: bool
) -> Choice:
    """The most tokens at a time that fit; memory grows evenly with them."""
    memory = _memory_by_tokens(shape, settings, target, method, checkpointing)
    one = _at_least(settings, method)
    empty, single = memory(0).total, memory(one).total
    room = int((target.memory - empty) / ((single - empty) / one))
    tokens = min(room, _most_tokens(shape, settings, target, method)) if room >= one else 0
    need = memory(tokens or one)
    missing = " and ".join(f"{name} ({how})" for name, how in missing_packages(method).items())
    return Choice(
        method=method,
        checkpointing=checkpointing,
        micro_tokens=tokens,
        memory=need,
        trained=trained_parameters(shape, method, settings.lora_rank, settings.frozen_head),
        missing=missing or None,
        why_not=_why_not(target, need, bool(tokens), missing),
    )


def _memory_by_tokens(
    shape: Shape, settings: TrainSettings, target: Target, method: Method, checkpointing: bool
) -> Callable[[int], Memory]:
    """Memory of a step with so many tokens at a time."""
    keeps_softmax = packs(shape, settings, target) and not target.is_gpu
    return partial(
        step_memory,
        shape,
        method,
        rank=settings.lora_rank,
        frozen_head=settings.frozen_head,
        bf16=target.computes_in_bf16(settings.precision),
        frozen_bytes=_frozen_bytes(settings, target),
        checkpointing=checkpointing,
        # The longest articles of which it is kept: what is longer takes torch's fused attention.
        attended=min(settings.max_length, FUSED_ABOVE) if keeps_softmax else 0,
        processes=1 if settings.fsdp else target.processes,  # FSDP has no buckets
        overhead=_GPU_OVERHEAD if target.is_gpu else _CPU_OVERHEAD,
    )


def _frozen_bytes(settings: TrainSettings, target: Target) -> int:
    """Per parameter of LoRA's frozen base."""
    if settings.base_precision == "auto":
        return 2 if target.is_gpu else 4
    return 2 if settings.base_precision == "bf16" else 4


def packs(shape: Shape, settings: TrainSettings, target: Target) -> bool:
    """Whether articles will be packed: where one process trains alone and the base and its
    attention can, if the settings do not say otherwise."""
    if target.processes > 1:
        return False
    if settings.packing is not None:
        return settings.packing
    attention = attention_of(settings, shape, target)
    if target.is_gpu:
        return shape.packs_by_flash and attention not in (FUSED, "eager")
    return shape.packable and attention == FUSED


def _at_least(settings: TrainSettings, method: Method) -> int:
    """Tokens of one article at full length, as often as a step computes it."""
    return settings.max_length * (1 if method == "frozen" else settings.draws)


def _most_tokens(shape: Shape, settings: TrainSettings, target: Target, method: Method) -> int:
    """Padded tokens that are computed at a time where memory does not matter."""
    one = _at_least(settings, method)
    packed = packs(shape, settings, target) and method != "frozen"
    on_cpu = CPU_PACKED_TOKENS if packed else CPU_MICRO_TOKENS
    usual = GPU_MICRO_TOKENS if target.is_gpu else on_cpu
    asked = usual if settings.micro_batch_tokens is None else settings.micro_batch_tokens
    share = -(-settings.effective_batch // target.processes)
    return min(max(asked, one), min(settings.batch_size, share) * one)


def missing_packages(method: Method) -> dict[str, str]:
    """The packages that a method needs and that are not there, each with how it is installed."""
    needed = _NEEDED.get(method, {}).items()
    return {name: how for name, how in needed if importlib.util.find_spec(name) is None}


def _why_not(target: Target, need: Memory, has_room: bool, missing: str) -> str | None:
    if not has_room:
        digits = digits_apart(need.total, target.memory)
        return f"needs {gib(need.total, digits)}, there are {target.room(digits)}"
    return f"would fit with {missing}" if missing and target.is_here else None


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


def workload(char_counts: list[int], max_length: int, source: str) -> Workload:
    """Articles by their characters, four a token (English); none is the seed's job."""
    if not char_counts:
        assumed = f"{SEED_ARTICLES:,} articles of {max_length:,} tokens assumed"
        return Workload((max_length,) * SEED_ARTICLES, assumed)
    lengths = tuple(min(max_length, max(8, int(n / _CHARS_PER_TOKEN))) for n in char_counts)
    return Workload(lengths, source)


@dataclass(frozen=True, slots=True)
class Plan:
    """What `distillery train --plan` says (plan_text.py)."""

    settings: TrainSettings
    shape: Shape
    target: Target
    work: Workload
    choices: tuple[Choice, ...]

    @property
    def chosen(self) -> Choice | None:
        """The one that would be taken; None where nothing fits."""
        return next((choice for choice in self.choices if choice.fits), None)

    @property
    def passes(self) -> int:
        """How often the base reads the articles; a frozen one does so once, for any head."""
        return 1 if self.settings.method == "frozen" else self.settings.epochs

    def flops(self, choice: Choice) -> float:
        """Of all epochs, with what gradient checkpointing computes again; a frozen base is read
        once, forward only."""
        if choice.method == "frozen":
            return train_flops(self.shape, self.work.lengths, frozen_base=False) / 3
        epoch = train_flops(
            self.shape,
            self.work.lengths,
            frozen_base=choice.method != "full",
            reads_one=packs(self.shape, self.settings, self.target) and not choice.checkpointing,
        )
        again = 2.0 * self.shape.linear * self.work.tokens if choice.checkpointing else 0.0
        return self.settings.epochs * self.settings.draws * (epoch + again)

    def hours(self, choice: Choice) -> float | None:
        """Estimated time of all epochs; None for a device of unknown speed, or without room.
        Several devices are taken to lose nothing to their exchange."""
        if self.target.peak is None or not choice.micro_tokens:
            return None
        peak = self.target.peak * self.target.devices
        return self.flops(choice) / (peak * ASSUMED_UTILISATION) / 3600

    def usd(self, choice: Choice) -> float | None:
        """What the hours cost; None where they or the price are not known."""
        hours, price = self.hours(choice), self.target.usd_per_hour
        return None if hours is None or price is None else hours * price * self.target.devices


def make_plan(settings: TrainSettings, shape: Shape, target: Target, work: Workload) -> Plan:
    """The plan of a run: every method with `auto`, else the one asked for."""
    if settings.method == "auto":
        found = options(shape, settings, target)
    else:
        found = [choice_of(shape, settings, target, settings.method)]
    return Plan(settings, shape, target, work, tuple(found))
