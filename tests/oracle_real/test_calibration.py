"""A model of 135 million parameters answers validly and scores nonsense: calibration says so."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SAMPLE = ["--n-positive", "20", "--n-negative", "20", "--n-edge", "10"]
VALID_SHARE = 0.9


@pytest.fixture(scope="session")
def calibrated(real_project: Path, corpus: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A project after one round of `distillery calibrate`."""
    project = real_project
    shutil.copy(corpus, project / "articles.jsonl")
    command = ["calibrate", "--filter", "danger", "--oracle", "smollm2", "--input"]
    options = ["articles.jsonl", *SAMPLE, "--no-read", "--no-probes", "--json"]
    started = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-m", "distillery_core", *command, *options],
        cwd=project,
        check=False,
        capture_output=True,
        text=True,
    )
    print(f"calibrate: {time.monotonic() - started:.0f} s, exit {run.returncode}\n{run.stderr}")
    return project, run


def attempts(project: Path) -> list[Any]:
    with sqlite3.connect(project / ".distillery" / "ledger.sqlite") as ledger:
        ledger.row_factory = sqlite3.Row
        return ledger.execute("SELECT * FROM attempts").fetchall()


def test_its_answers_are_valid(calibrated: tuple[Path, Any]) -> None:
    """What is wrong with this oracle is not its form: the schema holds it to that."""
    rows = [row for row in attempts(calibrated[0]) if row["state"] == "answered"]
    with sqlite3.connect(calibrated[0] / ".distillery" / "ledger.sqlite") as ledger:
        states = dict(ledger.execute("SELECT state, count(*) FROM items GROUP BY 1").fetchall())
    print(f"states {states}; {sum(row['latency_s'] for row in rows) / len(rows):.2f} s an answer")
    assert states.get("done", 0) / sum(states.values()) >= VALID_SHARE
    assert {row["answer_format"] for row in rows} == {"json_schema"}


def test_nothing_was_charged(calibrated: tuple[Path, Any]) -> None:
    assert sum(row["cost_nano"] + row["held_nano"] for row in attempts(calibrated[0])) == 0


def test_calibration_fails_it_and_says_why(calibrated: tuple[Path, Any]) -> None:
    project, run = calibrated
    assert run.returncode == 1, run.stderr
    found = json.loads(run.stdout)
    report = next(project.rglob("calibration_report.md")).read_text(encoding="utf-8")
    failed = [line for line in found["lines"] if line["level"] == "FAIL"]
    for line in found["lines"]:
        print(f"{line['level']:14} {line['title']}: {line['reason']}")
    assert found["verdict"] == "FAIL"
    assert failed
    assert found["deciding_line"] in [line["line"] for line in failed]
    assert all(line["title"] in report for line in failed)
    assert "FAIL" in report
