"""Every verb says what it does and shows an example; nothing heavy is loaded for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from distillery_core.cli.app import VERBS, app
from distillery_core.cli.reference import commands

HEAVY = {
    "torch", "transformers", "zenml", "mlflow", "openai", "sklearn", "scipy", "pandas",
    "matplotlib", "numpy", "accelerate",
}  # fmt: skip

LATER = {"serve", "export", "stack"}


def test_the_verbs_of_this_version_are_listed_and_no_others(run: Run) -> None:
    outcome = run("--help")
    assert outcome.code == 0
    for verb in VERBS:
        assert f"\n  {verb} " in outcome.out
    assert not LATER & set(VERBS)


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_verb_explains_itself(run: Run, path: tuple[str, ...]) -> None:
    outcome = run(*path, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"Usage: distillery {' '.join(path)}")
    _, command = next(entry for entry in commands() if entry[0] == path)
    assert command.help
    assert f"distillery {' '.join(path)}" in command.epilog
    for parameter in command.params:
        assert getattr(parameter, "help", ""), f"{parameter.name} has no help"


def _example_lines(command: Any) -> list[str]:
    text = str(command.epilog).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip().startswith("distillery ")]


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_example_parses(path: tuple[str, ...]) -> None:
    import shlex

    _, command = next(entry for entry in commands() if entry[0] == path)
    for line in _example_lines(command):
        words = shlex.split(line)[1:]
        assert tuple(words[: len(path)]) == path
        command.make_context("example", words[len(path) :], resilient_parsing=False).close()


MEASURE = """
import json, sys
from distillery_core.cli.main import main
codes = [main(argv) for argv in json.loads(sys.argv[1])]
print(json.dumps([codes, sorted({name.split(".")[0] for name in sys.modules})]), file=sys.stderr)
"""

Run = Callable[..., Any]


def test_help_version_and_list_load_nothing_heavy(tmp_path: Path) -> None:
    arguments = [["--help"], ["--version"], ["filter", "list"], ["train", "--help"], ["plugins"]]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(arguments)],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    codes, modules = json.loads(done.stderr.splitlines()[-1])
    assert codes == [0] * len(arguments)
    assert not HEAVY & set(modules)


def test_a_verb_loads_only_its_own_module() -> None:
    script = "import sys; from distillery_core.cli.main import main; main(['label', '--help'])\n"
    script += "print([m for m in sys.modules if 'cli.verbs.' in m], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "['distillery_core.cli.verbs.label']"


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "distillery_core", "lable"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Did you mean label?" in done.stderr


def test_a_reader_that_leaves_early_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "distillery_core", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as started:
        assert started.stdout is not None
        started.stdout.close()
        assert started.stderr is not None
        assert started.stderr.read() == b""
    assert started.returncode == 141


def test_typer_finds_no_two_verbs_of_one_name() -> None:
    group: Any = typer.main.get_command(app)
    assert len(set(VERBS)) == len(VERBS) == len(group.list_commands(None))
