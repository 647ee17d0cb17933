"""`distillery status`: what is done, what it cost, and what is next."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from distillery_core.cli.console import note, print_json, say
from distillery_core.cli.money import usd
from distillery_core.cli.options import JsonOption
from distillery_core.cli.verb import single, verb

if TYPE_CHECKING:
    from distillery_core.stages.status import StageState

app = single()


@verb(app, "distillery status", "distillery status --json")
def status(json: JsonOption = False) -> None:
    """Show every stage of every filter in the project: state, gate, money spent, next command."""
    from distillery_core.stages.project import open_project
    from distillery_core.stages.status import status as states_of

    project = open_project()
    states = states_of(project)
    if json:
        print_json([asdict(state) for state in states])
        return
    if not states:
        note(f"{project.root}: no filter lives here yet")
        note("  -> distillery filter list shows all in sight, distillery init . lays out a project")
    for name, stages in itertools.groupby(states, key=lambda state: state.filter):
        _print(name, list(stages))


def _print(name: str, stages: Sequence[StageState]) -> None:
    """One filter: a line a stage, and the first command that is due."""
    spent = sum(stage.spent_usd or 0.0 for stage in stages)
    say(f"{name}{f', {usd(spent)} spent' if spent else ''}")
    for stage in stages:
        say(f"  {stage.stage:16} {stage.state:8} {stage.detail}".rstrip())
    due = [stage.next_command for stage in stages if stage.next_command]
    if due:
        say(f"  -> {due[0]}")
