"""`distillery demo`: the whole way on 350 real articles, without a key."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from distillery_core.cli.console import print_table, say
from distillery_core.cli.options import refuse_unwritable
from distillery_core.cli.verb import single, verb
from distillery_core.cli.work import work

app = single()


@verb(app, "distillery demo", "distillery demo /tmp/demo")
def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The project the demo makes.")
    ] = Path("distillery-demo"),
) -> None:
    """Distil the crisis filter on 350 real articles, with recorded answers instead of an oracle.

    Nothing is paid and nothing is downloaded; needs the extra `demo`. Takes a few minutes.
    """
    from distillery_core.demo import run_demo
    from distillery_core.scaffold import lay_out

    refuse_unwritable(folder / "README.md")
    lay_out(folder)
    run_demo(folder, Terminal())


class Terminal:
    """The demo's screen: results to stdout, progress to stderr."""

    def heading(self, text: str) -> None:
        """A blank line and a title."""
        say(f"\n== {text}")

    def say(self, text: str) -> None:
        """One line."""
        say(text)

    def table(self, columns: Any, rows: Any) -> None:
        """A table."""
        print_table(columns, rows)

    def work(self, title: str) -> AbstractContextManager[Any]:
        """A progress bar, or plain lines where no terminal is."""
        return work(title)
