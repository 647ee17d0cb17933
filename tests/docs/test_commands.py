"""Every command in README.md is run, or checked against the real parser with a stated reason."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from distillery_core.cli.app import app
from distillery_core.cli.main import main
from distillery_core.oracle.spec import load_oracles
from distillery_core.scaffold import lay_out
from distillery_core.student.testing import tiny_base

ROOT = Path(__file__).resolve().parents[2]
TABLE = yaml.safe_load((ROOT / "tests/cases/docs/commands.yaml").read_text(encoding="utf-8"))
STORIES: dict[str, list[dict[str, Any]]] = TABLE["stories"]
OTHERS: list[dict[str, Any]] = TABLE["others"]


def _of(kind: str) -> list[dict[str, Any]]:
    return [entry for entry in OTHERS if kind in entry]


def _commands() -> list[str]:
    told = [step["run"] for steps in STORIES.values() for step in steps]
    return told + [next(iter(entry.values())) for entry in OTHERS]


def test_the_table_and_the_readme_name_the_same_commands(readme_commands: list[str]) -> None:
    assert sorted(_commands()) == sorted(set(_commands())), "a command stands there twice"
    assert set(_commands()) == set(readme_commands)


def test_what_is_not_run_or_changed_has_a_reason() -> None:
    explained = [entry for entry in OTHERS if "shell" not in entry]
    changed = [step for steps in STORIES.values() for step in steps if "adds" in step]
    assert all(entry["reason"] for entry in (*explained, *changed))


@pytest.mark.parametrize("entry", _of("parse"), ids=lambda entry: entry["parse"])
def test_it_parses(entry: Mapping[str, Any]) -> None:
    program, verb, *arguments = shlex.split(entry["parse"])
    assert program == "distillery"
    group: Any = typer.main.get_command(app)
    with group.get_command(None, verb).make_context(verb, arguments):
        pass


def test_a_flag_that_does_not_exist_is_noticed() -> None:
    group: Any = typer.main.get_command(app)
    with pytest.raises(Exception, match="No such option"):
        group.get_command(None, "run").make_context("run", ["--filter", "x", "--bugdet", "8"])


@pytest.mark.parametrize("entry", _of("shell"), ids=lambda entry: entry["shell"])
def test_the_shell_can_read_it(entry: Mapping[str, Any]) -> None:
    subprocess.run(["bash", "-n", "-c", entry["shell"]], check=True)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("entry", _of("make"), ids=lambda entry: entry["make"])
def test_make_knows_it(entry: Mapping[str, Any]) -> None:
    # A `make` above this test would hand down its own options.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = [*shlex.split(entry["make"]), "--dry-run"]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("entry", _of("test"), ids=lambda entry: entry["test"])
def test_another_test_runs_it(entry: Mapping[str, Any]) -> None:
    path, name = entry["by"].split("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(", text, re.MULTILINE)
    assert all(word in text for word in ("pipeline", "run", shlex.split(entry["test"])[3]))


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    pytest.importorskip("gensim")
    corpus = pytest.importorskip("distillery_filter_crisis.corpus")
    path = tmp_path / "articles.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in corpus.articles()), encoding="utf-8")
    return path


class Typist:
    """Types commands in this process and compares exit code and words."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def types(self, step: Mapping[str, Any], **values: object) -> None:
        program, *arguments = shlex.split(f"{step['run']} {step.get('adds', '')}".format(**values))
        if program == "cd":
            self._monkeypatch.chdir(*arguments)
            return
        self._capsys.readouterr()
        code = main(arguments)
        captured = self._capsys.readouterr()
        printed = captured.out + captured.err
        assert code == step.get("exit", 0), f"{step['run']}\n{printed}"
        assert step.get("says", "") in printed, f"{step['run']}\n{printed}"


@pytest.fixture
def typist(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typist:
    return Typist(monkeypatch, capsys)


@pytest.mark.slow
def test_step_by_step(
    typist: Typist, articles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    base = tiny_base(tmp_path / "base", "bert")
    for step in STORIES["by_hand"]:
        typist.types(step, tiny=base)
    assert len((tmp_path / "scores.jsonl").read_text(encoding="utf-8").splitlines()) == 350


def test_a_filter_in_ten_minutes(
    typist: Typist,
    articles: Path,
    tmp_path: Path,
    readme_yaml: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for step in STORIES["own_filter"]:
        typist.types(step)
        if step["run"].startswith("cd "):
            shutil.copy(articles, Path.cwd())
        if "filter new" in step["run"]:
            _fill_in("filters/labour_news/v1/config.yaml", readme_yaml)
            _fill_in("filters/labour_news/v1/cases.yaml", readme_yaml)
    checked = tmp_path / "my-project/filters/labour_news/v1/config.yaml"
    assert "strike" in checked.read_text(encoding="utf-8")


def test_a_project_in_an_empty_folder(
    typist: Typist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for step in STORIES["empty"]:
        typist.types(step)
    assert (tmp_path / "pipelines/distill.yaml").is_file()


def test_an_oracle_of_ones_own(
    tmp_path: Path, readme_yaml: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    _fill_in("oracles.yaml", readme_yaml)
    oracles = load_oracles(tmp_path)
    assert oracles["llama-cpp"].free
    assert {"openai", "gemini-flash", "deepseek", "ollama", "vllm"} <= set(oracles)


def _fill_in(name: str, snippets: Mapping[str, str]) -> None:
    """Merge a snippet of the README into the file that its first line names."""
    path = Path(name)
    present = yaml.safe_load(path.read_text(encoding="utf-8"))
    merged = _merged(present, yaml.safe_load(snippets[name]))
    path.write_text(yaml.safe_dump(merged, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
    return new
