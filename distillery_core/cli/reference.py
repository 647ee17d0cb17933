"""Writes docs/cli.md from the verbs themselves: `python -m distillery_core.cli.reference`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from distillery_core.cli.app import app

_HEAD = """\
# The `distillery` command

Written by `python -m distillery_core.cli.reference > docs/cli.md`; a test compares.

Exit codes: 0 done, 1 a gate or check said no, 2 could not run, 130 interrupted. `calibrate`,
`evaluate`, `gate check` and `filter check` give 0 only on PASS, DEPLOY, open and READY. Results go
to stdout, progress and notes to stderr; with `--json` there is only JSON on stdout.
"""
_WIDTH = 100


def commands() -> list[tuple[tuple[str, ...], Any]]:
    """Every verb: its words after `distillery`, and its command."""
    return list(_walk((), typer.main.get_command(app)))


def reference() -> str:
    """The whole page as markdown."""
    parts = [_HEAD, *(_section(path, command) for path, command in commands())]
    return "\n".join(parts)


def _walk(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    for name in command.list_commands(None):
        yield from _walk((*path, name), command.get_command(None, name))


def _section(path: tuple[str, ...], command: Any) -> str:
    words = " ".join(("distillery", *path))
    with command.make_context(
        words, [], resilient_parsing=True, terminal_width=_WIDTH, max_content_width=_WIDTH
    ) as context:
        text = context.get_help()
    return f"## {words}\n\n```text\n{_trimmed(text)}\n```\n"


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


if __name__ == "__main__":
    print(reference(), end="")
