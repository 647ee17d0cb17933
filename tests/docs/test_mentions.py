"""Every `distillery ...` that a document, an agent or a pipeline mentions exists as written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from distillery_core.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
_FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`(distillery [^`\n]+)`")
_TYPED = re.compile(r"^(?:#\s*|\$ | {4})?(distillery [a-z].*)$", re.MULTILINE)
_FLAG = re.compile(r"(?<!\S)--[a-z][\w-]*")


def _mentions(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    yield from _SPAN.findall(text)
    blocks = _FENCED.findall(text) if path.suffix == ".md" else [text]
    for block in blocks:
        yield from _TYPED.findall(block)


def _pages(files: list[Path]) -> list[Path]:
    """What people read, except what a run wrote and the reference that the verbs wrote."""
    generated = (ROOT / "docs/examples", ROOT / "docs/cli.md")
    wanted = [path for path in files if path.suffix == ".md" or path.name.endswith(".j2")]
    wanted += [path for path in files if path.suffix == ".yaml" and path.parent.name == "pipelines"]
    wanted += [path for path in files if path.name == "agent.yaml"]
    return [path for path in wanted if not {path, *path.parents} & set(generated)]


def _problem(mention: str) -> str | None:
    """What about a mentioned command does not exist; placeholders are not looked at."""
    words = mention.split()[1:]
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "list_commands"):
        word = words.pop(0)
        if word.startswith("-"):
            break
        found = command.get_command(None, word)
        if found is None:
            return f"no verb {word!r}"
        command = found
    known = {flag for parameter in command.params for flag in parameter.opts}
    known |= {flag for parameter in command.params for flag in parameter.secondary_opts}
    unknown = [flag for flag in _FLAG.findall(mention) if flag not in known | {"--help"}]
    return f"no flag {', '.join(unknown)}" if unknown else None


def test_what_is_mentioned_exists(files: list[Path]) -> None:
    found = [(path, mention) for path in _pages(files) for mention in _mentions(path)]
    assert len(found) > 40
    wrong = [
        f"{path.relative_to(ROOT)}: {mention}: {problem}"
        for path, mention in found
        if (problem := _problem(mention))
    ]
    assert not wrong


def test_an_unknown_verb_and_an_unknown_flag_are_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("`distillery lable` `distillery gate check --bugdet 8`\n", encoding="utf-8")
    assert [_problem(mention) for mention in _mentions(page)] == [
        "no verb 'lable'",
        "no flag --bugdet",
    ]
