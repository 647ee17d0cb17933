"""`distillery init`: lay out a project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distillery_core.cli.console import note, say
from distillery_core.cli.options import refuse_unwritable
from distillery_core.cli.verb import single, verb

app = single()


@verb(app, "distillery init my-project", "distillery init .")
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder, made if needed.")],
) -> None:
    """Lay out a project: folders, oracles.yaml, the shipped filters, agents and pipelines.

    Nothing that exists is overwritten; doing it again adds only what is missing.
    """
    from distillery_core.scaffold import lay_out

    refuse_unwritable(folder / "README.md")
    result = lay_out(folder)
    say(f"{folder}: {len(result.created)} files written, {len(result.kept)} kept as they were")
    enter = f"cd {folder} && " if str(folder) != "." else ""
    note(f"  -> {enter}distillery doctor")
