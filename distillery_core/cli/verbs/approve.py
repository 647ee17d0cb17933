"""`distillery approve`: let a REVIEW through, with a name and a reason."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from distillery_core.cli.console import note, say
from distillery_core.cli.options import FilterOption, chosen_filter
from distillery_core.cli.verb import single, verb
from distillery_core.errors import UserError

app = single()


@verb(
    app,
    'distillery approve --filter uplifting --report evaluation --why "good enough to rank by"',
    'distillery approve --filter uplifting --report calibration_report.md --why "..." \\',
    "    --who ana --expires 2027-06-30",
)
def approve(
    filter: FilterOption,
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason, for whoever reads it.")],
    report: Annotated[
        str,
        typer.Option(
            metavar="calibration|validation|evaluation", help="Which report (or its file's name)."
        ),
    ] = "evaluation",
    who: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who approves; default: your login name.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="The last day it counts.")
    ] = None,
    oracle: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Whose report, of several oracles; default: judged last."
        ),
    ] = None,
) -> None:
    """Record in approvals.yaml that a person has read a REVIEW and lets it through.

    The approval counts for exactly this report; a FAIL cannot be approved.
    """
    from distillery_core.stages.gates import approve as record

    project, chosen = chosen_filter(filter)
    approval, path = record(
        *(project, chosen),
        report=Path(report).name,
        who=who or _login(),
        why=why,
        expires=expires,
        oracle=oracle,
    )
    say(f"{project.relative(path)}: {approval.report} approved by {approval.who}")
    asked = f" --oracle {oracle}" if oracle else ""
    note(f"  -> distillery gate check --filter {filter}{asked}")


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        raise UserError("who approves?", where="--who", hint="--who NAME") from None
