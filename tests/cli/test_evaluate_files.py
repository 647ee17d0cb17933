"""`evaluate --history`: old results by their files alone, on stdout, with nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_old_results_are_judged_line_by_line(project: Path, run: Callable[..., Any]) -> None:
    history = [{"val": {"mae": value}, "train": {"mae": value}} for value in (0.9, 0.8)]
    record = {"model_name": "Qwen2.5-7B", "num_parameters": 494_000_000}
    (project / "h.json").write_text(json.dumps(history), encoding="utf-8")
    (project / "m.json").write_text(json.dumps(record), encoding="utf-8")
    rows = [
        {"id": str(at), "labels": {"a": at % 10}, "predictions": {"a": (at % 10) * 0.9}}
        for at in range(200)
    ]
    (project / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    before = sorted(project.rglob("*"))
    asked = ("evaluate", "--history", "h.json", "--metadata", "m.json", "--predictions", "p.jsonl")
    plain = run(*asked)
    assert plain.code == 1
    assert plain.out.startswith("REVIEW: ")
    assert "ok              Test MAE: 0.450, wanted < 1" in plain.out
    assert "Leak: insufficient evidence: not checkable: the articles are not at hand" in plain.out
    lines = {one["line"]: one for one in run(*asked, "--json").json["lines"]}
    assert lines["test_articles"]["level"] == "OK"
    assert run(*asked, "--filter", "uplifting", "--json").json["kind"] == "general"
    assert sorted(project.rglob("*")) == before
