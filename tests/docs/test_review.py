"""The commands of docs/review.md, typed in their order in a project with the demo's articles."""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from distillery_core.cli.app import app
from distillery_core.cli.main import main
from distillery_core.scaffold import lay_out

PAGE = Path(__file__).resolve().parents[2] / "docs/review.md"
_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# A page waits for a browser, and a test split needs a trained student; both have their own tests.
PARSED = ("--page", "--test", "evaluate")


def _commands() -> list[list[str]]:
    lines = "".join(_BLOCK.findall(PAGE.read_text(encoding="utf-8"))).splitlines()
    return [shlex.split(line) for line in lines]


def _only_parsed(command: list[str]) -> bool:
    return any(word in command for word in PARSED)


def test_they_parse() -> None:
    assert len(_commands()) == 8
    group: Any = typer.main.get_command(app)
    for program, verb, *arguments in _commands():
        assert program == "distillery"
        with group.get_command(None, verb).make_context(verb, list(arguments)):
            pass


def test_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gensim")
    corpus = pytest.importorskip("distillery_filter_crisis.corpus")
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    rows = "".join(json.dumps(row) + "\n" for row in corpus.articles())
    (tmp_path / "articles.jsonl").write_text(rows, encoding="utf-8")
    for command in filter(lambda one: not _only_parsed(one), _commands()):
        monkeypatch.setattr("sys.stdin", io.StringIO("o a note\nf\nq\n"))
        code = main(command[1:])
        printed = capsys.readouterr()
        assert code in (0, 1), f"{shlex.join(command)}\n{printed.err}"
        assert code == 0 or "REVIEW" in printed.out
    report = (tmp_path / "filters/crisis/v1/calibration_report.md").read_text(encoding="utf-8")
    assert "Ana judged 2 of the 100 articles" in report
    assert "0 judgements taken, 2 known already" in printed.out
