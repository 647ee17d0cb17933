"""`distillery gate check`: may the next stage begin?"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery_core.cli.console import print_json, say
from distillery_core.cli.options import JsonOption, OracleOption, chosen_filter
from distillery_core.cli.verb import family, verb
from distillery_core.errors import UserError

if TYPE_CHECKING:
    from distillery_core.verdicts.gate import GateState

app = family("Ask the gates whether the next stage may begin.")


class Gate(StrEnum):
    """Which gate: the one before labelling, the one before promotion, or both."""

    calibration = "calibration"
    evaluation = "evaluation"
    all = "all"


@verb(
    app,
    "distillery gate check --filter uplifting",
    "distillery gate check filters/uplifting/v1 --gate evaluation --json",
)
def check(
    reference: Annotated[
        str | None, typer.Argument(metavar="NAME[:vN]|PATH", help="The filter.")
    ] = None,
    filter: Annotated[
        str | None, typer.Option("--filter", metavar="NAME[:vN]|PATH", help="The same, as a flag.")
    ] = None,
    gate: Annotated[Gate, typer.Option(help="Which gate.")] = Gate.all,
    oracle: OracleOption = None,
    json: JsonOption = False,
) -> None:
    """Recompute every hash, decide every report again, and say open or closed with the reasons.

    Exit code 0 only when every gate asked for is open.
    """
    if (reference is None) == (filter is None):
        raise UserError("one filter is needed", hint="distillery gate check --filter NAME")
    states = _states(reference or filter or "", gate, oracle)
    if json:
        print_json({name: gate_facts(state) for name, state in states.items()})
    else:
        for name, state in states.items():
            _print_gate(name, state)
    raise typer.Exit(0 if all(state.open for state in states.values()) else 1)


def _states(reference: str, gate: Gate, oracle: str | None) -> dict[str, GateState]:
    from distillery_core.stages.gates import calibration_gate, evaluation_gate
    from distillery_core.stages.oracles import choose_oracle, oracle_identity

    project, chosen = chosen_filter(reference)
    states: dict[str, GateState] = {}
    if gate is not Gate.evaluation:
        identity = oracle_identity(chosen, choose_oracle(project, chosen, oracle))
        states["calibration"] = calibration_gate(project, chosen, identity)
    if gate is not Gate.calibration:
        states["evaluation"] = evaluation_gate(project, chosen)
    return states


def gate_facts(state: GateState) -> dict[str, Any]:
    """A gate's state as JSON values."""
    return {
        "open": state.open,
        "level": state.level.name if state.level is not None else None,
        "verdict": state.verdict or None,
        "reasons": list(state.reasons),
        "not_checkable": list(state.not_checkable),
        "next_command": state.next_command or None,
    }


def _print_gate(name: str, state: GateState) -> None:
    say(f"{name}: {'open' if state.open else 'closed'}")
    for reason in state.reasons:
        say(f"  - {reason}")
    if state.next_command:
        say(f"  -> {state.next_command}")
