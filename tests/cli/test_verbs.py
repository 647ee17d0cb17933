"""What each verb prints, in a fresh project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_init_tells_what_it_wrote_and_what_is_next(run: Run, tmp_path: Path) -> None:
    first = run("init", str(tmp_path / "new"))
    assert first.code == 0
    assert "0 kept" in first.out
    assert f"cd {tmp_path / 'new'} && distillery doctor" in first.err
    assert "0 files written" in run("init", str(tmp_path / "new")).out


def test_filter_new_show_check(run: Run, project: Path) -> None:
    made = run("filter", "new", "local_news", "--dimensions", "relevance, evidence")
    assert (made.code, made.out) == (0, "filters/local_news/v1: written\n")
    shown = run("filter", "show", "local_news")
    assert shown.code == 0
    assert "relevance" in shown.out
    facts = run("filter", "show", "local_news", "--json").json
    assert facts["dimensions"] == ["relevance", "evidence"]
    assert len(facts["prompt_sha256"]) == 64
    checked = run("filter", "check", "local_news")
    assert checked.code == 1
    assert "NOT READY" in checked.out
    assert "missing  critical   calibration gate" in checked.out
    verdict = run("filter", "check", str(project / "filters" / "local_news" / "v1"), "--json")
    assert (verdict.code, verdict.json["verdict"]) == (1, "NOT READY")


def test_filter_list_shows_where_each_comes_from(run: Run, project: Path) -> None:
    listed = run("filter", "list")
    assert listed.code == 0
    assert "uplifting:v1" in listed.out
    entries = {entry["filter"]: entry for entry in run("filter", "list", "--json").json}
    assert entries["uplifting:v1"]["origin"] == "project"
    assert entries["uplifting:v1"]["folder"] == str(project / "filters" / "uplifting" / "v1")


def test_plugins(run: Run) -> None:
    assert "core" in run("plugins").out
    facts = run("plugins", "--json").json
    assert "openai" in facts["oracles"]
    assert "transformers" in facts["students"]


def test_status_of_a_new_project(run: Run, project: Path) -> None:
    assert run("status").code == 0
    assert isinstance(run("status", "--json").json, list)


def test_doctor(run: Run, project: Path) -> None:
    findings = run("doctor", "--json").json
    topics = {finding["topic"] for finding in findings}
    assert {"python", "torch", "zenml", "plugin", "oracle", "folder", "disk", "device"} <= topics
    assert all(finding["mark"] in {"ok", "note", "FAIL"} for finding in findings)
    table = run("doctor")
    assert table.code == (1 if any(f["mark"] == "FAIL" for f in findings) else 0)
    assert "python" in table.out


def test_gates_of_a_new_filter_are_closed_with_the_next_command(run: Run, project: Path) -> None:
    outcome = run("gate", "check", "--filter", "uplifting")
    assert outcome.code == 1
    assert "calibration: closed" in outcome.out
    assert "evaluation: closed" in outcome.out
    assert "-> distillery calibrate --filter" in outcome.out
    states = run("gate", "check", "uplifting", "--gate", "calibration", "--json").json
    assert list(states) == ["calibration"]
    assert states["calibration"]["open"] is False
    assert states["calibration"]["next_command"].startswith("distillery calibrate")


def test_demo_shows_itself_on_the_console(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(folder: Path, screen: Any) -> None:
        screen.heading("Scores")
        screen.say(f"in {folder.name}")
        screen.table(("article",), [("[red]A title\x1b[2J",)])
        with screen.work("score") as task:
            task.progress(1, 1, "one")
            task.say("done")

    monkeypatch.setattr("distillery_core.demo.run_demo", shown)
    outcome = run("demo", str(tmp_path / "d"))
    assert outcome.code == 0
    assert outcome.out == "\n== Scores\nin d\narticle\n[red]A title\\u001b[2J\n"
    assert (tmp_path / "d" / "oracles.yaml").is_file()
    assert outcome.err == "score: 1 of 1 (100%), one\ndone\n"
