"""A plan in words, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from distillery_core.student.planning.plan import ASSUMED_UTILISATION, Choice, Plan
from distillery_core.student.planning.step_memory import gib

_SMALLER = "take a smaller base, a shorter --max-length, or --method frozen"


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan as it is printed: the job, each method, and which is taken."""
    shape, work = plan.shape, plan.work
    yield f"{plan.settings.model_name} on {plan.target.words}"
    yield (
        f"  {shape.parameters:,} parameters (no language-model head), {shape.layers} layers, "
        f"width {shape.hidden}"
    )
    yield f"  {len(work.lengths):,} articles{_reading(plan)} ({work.source})"
    yield f"  memory that can be used: {plan.target.room()}"
    for choice in plan.choices:
        yield from _choice_lines(plan, choice)
    yield _verdict(plan)


def _reading(plan: Plan) -> str:
    tokens = f"about {plan.work.tokens:,} tokens"
    if plan.settings.method == "frozen":
        return f", read once: {tokens}"
    return f" x {plan.passes} epochs, {tokens} an epoch"


def _choice_lines(plan: Plan, choice: Choice) -> Iterator[str]:
    memory = choice.memory
    extra = " with gradient checkpointing" if choice.checkpointing else ""
    yield f"{choice.method}{extra}: {choice.trained:,} trained parameters"
    yield (
        f"  weights {gib(memory.weights)} + gradients {gib(memory.gradients)} + optimizer "
        f"{gib(memory.optimizer)} + activations {gib(memory.activations)} "
        f"({choice.micro_tokens or plan.settings.max_length:,} tokens at a time) + overhead "
        f"{gib(memory.overhead)} = {gib(memory.total)}"
    )
    if choice.fits:
        there = f", with {choice.missing} there" if choice.missing else ""
        yield f"  fits{there}; {_effort(plan, choice)}"
    elif choice.would_fit:
        yield f"  {choice.why_not}; {_effort(plan, choice)}"
    else:
        yield f"  does not fit: {choice.why_not}"


def _effort(plan: Plan, choice: Choice) -> str:
    hours, usd = plan.hours(choice), plan.usd(choice)
    if hours is None:
        return "its speed on this device is not known"
    cost = "no price known (--usd-per-hour names one)"
    if usd is not None:
        cost = f"{_dollars(usd)} at {_times(plan)}{plan.target.usd_per_hour:g} USD/h"
    ideal = ", exchange not counted" if plan.target.devices > 1 else ""
    return f"{_time(hours)} at {ASSUMED_UTILISATION:.0%} of the peak{ideal}, {cost}"


def _times(plan: Plan) -> str:
    return f"{plan.target.devices} x " if plan.target.devices > 1 else ""


def _time(hours: float) -> str:
    if hours >= 1:
        return f"about {hours:.1f} h"
    minutes = hours * 60
    return "under a minute" if minutes < 1 else f"about {minutes:.0f} min"


def _dollars(usd: float) -> str:
    return "under 0.01 USD" if 0 < usd < 0.01 else f"about {usd:.2f} USD"


def _verdict(plan: Plan) -> str:
    asked = plan.settings.method
    if plan.chosen is not None:
        return f"--method auto takes {plan.chosen.method}." if asked == "auto" else "It fits."
    would = [f"{one.method} would with {one.missing}" for one in plan.choices if one.would_fit]
    if would:
        return f"Nothing fits as installed: {', '.join(would)}."
    return f"Nothing fits: {_SMALLER}."


def plan_json(plan: Plan) -> dict[str, Any]:
    """Everything, for `--json`; memory in bytes."""
    return {
        "model_name": plan.settings.model_name,
        "device": plan.target.name,
        "processes": plan.target.processes,
        "device_memory_bytes": int(plan.target.memory),
        "usd_per_hour": plan.target.usd_per_hour,
        "num_parameters": plan.shape.parameters,
        "articles": len(plan.work.lengths),
        "tokens_per_epoch": plan.work.tokens,
        "tokens_from": plan.work.source,
        "epochs": plan.passes,
        "assumed_utilisation": ASSUMED_UTILISATION,
        "chosen": plan.chosen.method if plan.chosen else None,
        "methods": [_row(plan, choice) for choice in plan.choices],
    }


def _row(plan: Plan, choice: Choice) -> dict[str, Any]:
    parts = {name: int(amount) for name, amount in asdict(choice.memory).items()}
    return {
        "method": choice.method,
        "fits": choice.fits,
        "why_not": choice.why_not,
        "missing_package": choice.missing,
        "gradient_checkpointing": choice.checkpointing,
        "tokens_at_a_time": choice.micro_tokens,
        "num_trainable_parameters": choice.trained,
        "memory_bytes": parts | {"total": int(choice.memory.total)},
        "hours": plan.hours(choice),
        "usd": plan.usd(choice),
    }
