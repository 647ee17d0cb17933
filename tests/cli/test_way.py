"""The whole way by verbs alone, on the crisis filter's real articles and recorded answers.

Only the student is a tiny random one, so that training takes seconds; its verdict must be FAIL.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.student.testing import tiny_base

pytest.importorskip("gensim")
crisis = pytest.importorskip("distillery_filter_crisis.corpus")

Run = Callable[..., Any]


@pytest.fixture
def articles(project: Path) -> Path:
    path = project / "articles.jsonl"
    rows = [json.dumps(article) for article in crisis.articles()]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.slow
def test_the_whole_way(run: Run, project: Path, articles: Path, tmp_path: Path) -> None:
    here = ("--filter", "crisis", "--input", "articles.jsonl")

    closed = run("label", *here)
    assert closed.code == 1
    assert "refused: labelling with crisis:v1: the gate is closed" in closed.err

    drawn = run("sample", *here, "--json").json
    assert sum(drawn["drawn"].values()) == 100
    first = run("calibrate", "--filter", "crisis", "--json")
    assert (first.code, first.json["verdict"]) == (0, "PASS")
    assert first.json["labelling"]["states"] == {"done": 100}
    assert "calls, " in first.err
    assert "calibration: 100 of 100 (100%)" in first.err

    second = run("calibrate", *here, "--validate")
    assert second.code == 1
    assert second.out.startswith("REVIEW: Off-topic false positives")
    assert "recorded, nothing was paid" in second.out
    approved = run("approve", "--filter", "crisis", "--report", "validation", "--why", "4 of 40")
    assert approved.code == 0
    assert run("gate", "check", "crisis", "--gate", "calibration").code == 0

    labelled = run("label", *here, "--json")
    assert (labelled.code, labelled.json["labelled"]) == (0, 350)
    assert run("label", *here, "--json").json["asked"] == 0
    ledger = run("ledger", "show", "--json").json
    assert ledger[0]["questions"] == {"done": 350}
    assert ledger[0]["money"]["spent_usd"] == 0.0
    assert "would have cost about" in run("ledger", "show").out
    assert run("ledger", "export", "--output", "ledger.jsonl").code == 0
    assert len((project / "ledger.jsonl").read_text(encoding="utf-8").splitlines()) == 350

    prepared = run("prepare", "--filter", "crisis", "--json")
    assert prepared.code == 0
    assert prepared.json["manifest"]["quality"]["verdict"] == "PASS"

    base = tiny_base(tmp_path / "base", "bert")
    options = ("--model-name", str(base), "--epochs", "1", "--max-length", "32", "--no-mlflow")
    trained = run("train", "--filter", "crisis", *options, "--json")
    assert trained.code == 0, trained.err
    assert trained.json["epochs"] == 1
    assert trained.json["best_val_mae"] > 1
    assert "New best validation MAE" in trained.err

    evaluated = run("evaluate", "--filter", "crisis", "--no-mlflow", "--json")
    assert (evaluated.code, evaluated.json["verdict"]) == (1, "FAIL")
    assert "cannot be approved" in run("approve", "--filter", "crisis", "--why", "please").err
    assert run("promote", "--filter", "crisis").code == 1

    scores = ("score", "--filter", "crisis:v1", "--input", "articles.jsonl", "--output", "s.jsonl")
    assert run(*scores).code == 1
    scored = run(*scores, "--unpromoted", "--json")
    assert (scored.code, scored.json["scored"], scored.json["promoted"]) == (0, 350, False)

    states = {state["stage"]: state for state in run("status", "--json").json
              if state["filter"] == "crisis:v1"}  # fmt: skip
    assert states["calibration"]["detail"] == "PASS"
    assert states["evaluation gate"]["state"] == "closed"
    assert "crisis:v1" in run("status").out
    assert run("filter", "check", "crisis").code == 0

    report = project / "filters" / "crisis" / "v1" / "calibration_report.md"
    report.write_text(report.read_text(encoding="utf-8").replace("PASS", "PASSED"), "utf-8")
    assert run("gate", "check", "crisis", "--gate", "calibration").code == 1
