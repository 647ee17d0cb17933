from __future__ import annotations

import json
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.stages.project import Project

JudgedProject = Callable[..., Project]


@pytest.fixture
def reported(judged_project: JudgedProject, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a REVIEW, which is also the working directory."""
    root = judged_project(n=150).root
    monkeypatch.chdir(root)
    return root


def test_open_writes_a_page_and_opens_it(
    run: Callable[..., Any], reported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: bool(opened.append(address)) or True)
    done = run("report", "open")
    page = reported / "reports/floods_v1/report.html"
    assert (done.code, done.out) == (0, "reports/floods_v1/report.html\n")
    assert opened == [page.as_uri()] and page.is_file()


def test_without_a_browser_it_says_where_the_page_is(
    run: Callable[..., Any], reported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    assert "no browser was found" in run("report", "open", "--filter", "floods").err
    done = run("report", "open", "--no-browser", "--output", "page.html")
    assert (done.out, done.err) == ("page.html\n", "")


def test_pr_writes_comment_result_and_summary(
    run: Callable[..., Any], reported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    done = run("report", "pr", "--output", "c.md", "--json", "r.json", "--summary")
    assert (done.code, done.out) == (0, "")
    assert done.err == "action_required: A person has to decide\n"
    comment = Path("c.md").read_text(encoding="utf-8")
    assert Path("summary.md").read_text(encoding="utf-8") == comment + "\n"
    assert json.loads(Path("r.json").read_text())["conclusion"] == "action_required"


def test_pr_prints_and_exits_1_on_a_failure(run: Callable[..., Any], reported: Path) -> None:
    report = reported / "filters/floods/v1/model_evaluation.md"
    report.write_text(report.read_text(encoding="utf-8") + "edited\n", encoding="utf-8")
    done = run("report", "pr", "--filter", "floods")
    assert done.code == 1
    assert "not whole" in done.out and "failure: A report stands in the way" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report", "pr", "--base", "nowhere"), "no folder, and no commit of this checkout"),
        (("report", "pr", "--summary"), "GITHUB_STEP_SUMMARY is not set"),
        (("report", "open", "--output", "."), "is a folder"),
        (("report", "open", "--filter", "nothing"), "nothing"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Callable[..., Any],
    reported: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    done = run(*arguments)
    assert done.code == 2 and said in done.err
