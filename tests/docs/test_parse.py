"""Every `distillery` command in docs/ is one that the real parser takes, whoever starts it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from distillery_core.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "cli.md")
_BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _commands(page: Path) -> list[str]:
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    # torchrun and accelerate launch start it as a module, each with options of its own before.
    ours = [re.sub(r"^\w.* -m distillery_core ", "distillery ", line) for line in lines]
    return [line for line in ours if line.startswith("distillery ")]


def _parse(command: str) -> None:
    """Walk down to the verb and let it read its arguments; nothing runs."""
    group: Any = typer.main.get_command(app)
    _, *arguments = shlex.split(command, comments=True)
    while hasattr(group, "get_command"):
        name, *arguments = arguments
        group = group.get_command(None, name)
        assert group is not None, f"there is no {name!r}"
    with group.make_context("distillery", arguments):
        pass


@pytest.mark.parametrize(
    ("page", "command"),
    [(page.name, command) for page in PAGES for command in _commands(page)],
)
def test_it_parses(page: str, command: str) -> None:
    _parse(command)


def test_a_flag_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        _parse("distillery train --filter uplifting --no-such-flag")
    with pytest.raises(AssertionError, match="there is no"):
        _parse("distillery no-such-verb")
