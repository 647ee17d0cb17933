"""The table of verbs; a verb's module is imported only when it is named or listed."""

from __future__ import annotations

import difflib
import importlib
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperGroup

from distillery_core.version import __version__

_VERBS = "distillery_core.cli.verbs"

VERBS = {
    "init": f"{_VERBS}.init",
    "status": f"{_VERBS}.status",
    "filter": f"{_VERBS}.filter",
    "sample": f"{_VERBS}.sample",
    "calibrate": f"{_VERBS}.calibrate",
    "review": f"{_VERBS}.review",
    "approve": f"{_VERBS}.approve",
    "gate": f"{_VERBS}.gate",
    "label": f"{_VERBS}.label",
    "ledger": f"{_VERBS}.ledger",
    "agreement": f"{_VERBS}.agreement",
    "prepare": f"{_VERBS}.prepare",
    "train": f"{_VERBS}.train",
    "evaluate": f"{_VERBS}.evaluate",
    "report": f"{_VERBS}.report",
    "promote": f"{_VERBS}.promote",
    "publish": f"{_VERBS}.publish",
    "score": f"{_VERBS}.score",
    "run": f"{_VERBS}.run",
    "demo": f"{_VERBS}.demo",
    "plugins": f"{_VERBS}.plugins",
    "doctor": f"{_VERBS}.doctor",
}
"""Verb -> module, in the order of the work, which is the order `--help` shows them in."""


class Interrupted(Exception):
    """Ctrl-C, taken before typer turns it into a silent exit code; may say how to go on."""


class Verbs(TyperGroup):
    """A group whose commands come from `VERBS`."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; Ctrl-C leaves as `Interrupted`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error

    def list_commands(self, ctx: Any) -> list[str]:
        """The verbs in table order."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb's command, its module imported now; None for an unknown verb."""
        module = VERBS.get(cmd_name)
        if module is None:
            return None
        command = typer.main.get_command(importlib.import_module(module).app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer does, but an unknown verb is answered with the nearest ones of the table."""
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            close = difflib.get_close_matches(name, VERBS, n=3)
            advice = f"Did you mean {' or '.join(close)}?" if close else "See `distillery --help`."
            ctx.fail(f"No such verb {name!r}. {advice}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Verbs,
    name="distillery",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 a gate or check said no, 2 could not run.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"distillery {__version__}")
        raise typer.Exit


@app.callback()
def distillery(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    """Distil a large language model's judgement of texts into a small local model.

    The way through: sample, calibrate, label, prepare, train, evaluate, promote, score.
    `distillery run` goes it in one command, `distillery demo` shows it on real articles,
    `distillery status` says what is next.
    """
