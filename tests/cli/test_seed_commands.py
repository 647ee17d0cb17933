"""Every command that docs/seed-commands.md promises parses as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from distillery_core.cli.app import app
from distillery_core.cli.reference import reference

DOCS = Path(__file__).parents[2] / "docs"
SEED_VERBS = {
    "sample", "label", "calibrate", "prepare", "train", "evaluate", "promote", "report", "publish",
}  # fmt: skip


def promised() -> list[str]:
    text = (DOCS / "seed-commands.md").read_text(encoding="utf-8")
    return re.findall(r"\| `(distillery [^`]+)` \|", text)


@pytest.mark.parametrize("line", promised(), ids=lambda line: " ".join(line.split()[:2]))
def test_it_parses(line: str) -> None:
    arguments = shlex.split(line)[1:]
    command: Any = typer.main.get_command(app)
    while hasattr(command, "get_command"):  # a family such as `report` has verbs of its own
        verb = arguments.pop(0)
        command = command.get_command(None, verb)
    with command.make_context(verb, arguments) as context:
        named = (context.params.get(name) for name in ("filter", "history", "config"))
        assert any("uplifting" in str(value) for value in named)


def test_every_seed_verb_is_there() -> None:
    assert {line.split()[1] for line in promised()} == SEED_VERBS


def test_the_reference_page_is_current() -> None:
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == reference(), (
        "run: python -m distillery_core.cli.reference > docs/cli.md"
    )
