"""Prints verdicts and labelling summaries, as text and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from distillery_core.cli.console import say
from distillery_core.types import Level

if TYPE_CHECKING:
    from distillery_core.labelling.run import LabelSummary
    from distillery_core.verdicts.decision import Decision
    from distillery_core.verdicts.judgement import LineResult


def print_decision(decision: Decision, report: str) -> None:
    """The verdict, the line that decided it, the other lines as bad, and where the report is."""
    say(f"{decision.word}: {decision.deciding.title}: {decision.deciding.reason}")
    for line in decision.because:
        if line.name != decision.deciding.name:
            say(f"  also {line.title}: {line.reason}")
    say(f"report: {report}")


def print_lines(decision: Decision) -> None:
    """The verdict, then every line of the table with how it came out and why."""
    say(f"{decision.word}: {decision.deciding.title}: {decision.deciding.reason}")
    for line in decision.lines:
        shown = line.level.name.replace("_", " ").lower()
        note = line.measurement.note
        told = line.reason if not note or note in line.reason else f"{line.reason} ({note})"
        say(f"  {shown:14}  {line.title}: {told}")


def decision_facts(decision: Decision) -> dict[str, Any]:
    """A verdict as JSON values."""
    return {
        "verdict": decision.word,
        "level": decision.level.name,
        "kind": decision.kind,
        "deciding_line": decision.deciding.name,
        "reason": decision.deciding.reason,
        "lines": [_line_facts(line) for line in decision.lines],
    }


def exit_by(decision: Decision) -> NoReturn:
    """Leave with 0 only on the best verdict (PASS, DEPLOY, READY)."""
    raise typer.Exit(0 if decision.level is Level.OK else 1)


def _line_facts(line: LineResult) -> dict[str, Any]:
    return {
        "line": line.name,
        "title": line.title,
        "level": line.level.name,
        "reason": line.reason,
        "decides": line.decides,
        "measurement": line.measurement.to_dict(),
    }


def facts(value: Any) -> Any:
    """A dataclass (and those inside it) as JSON values; a path as text, an enum by its name."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: facts(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [facts(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): facts(item) for key, item in value.items()}
    return value


def print_summary(summary: LabelSummary) -> None:
    """What a labelling run did and what it cost, in two lines."""
    states = ", ".join(f"{count} {state}" for state, count in summary.states.items()) or "nothing"
    say(f"{states}; {summary.asked} calls, {summary.from_ledger} answers from the ledger")
    say(summary.money_line())
    if summary.canaries:
        largest = [drift for found in summary.canaries if (drift := found.largest)]
        worst = max(largest, key=lambda drift: abs(drift.bias), default=None)
        told = f"; largest difference {worst.words()}" if worst else ""
        say(f"canaries: {len(summary.canaries)} rounds{told}")


def summary_facts(summary: LabelSummary) -> dict[str, Any]:
    """A labelling summary as JSON values."""
    return dict(facts(summary)) | {"asked": summary.asked, "labelled": summary.labelled}
