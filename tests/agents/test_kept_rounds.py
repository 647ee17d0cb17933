"""What a round was made of is kept, and later reports show the way so far."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distillery_core.agents.calibration import judge_round
from distillery_core.filters.filter import Filter
from distillery_core.reports.record import read_record

Build = Callable[..., Any]
EDIT = {"find": "{{ article }}", "replace": "{{ article }}\nBe strict.", "why": "too lenient"}


def _reading(**more: Any) -> dict[str, Any]:
    lists: dict[str, Any] = {
        name: [] for name in ("root_causes", "recommendations", "prompt_edits", "diagnoses")
    }
    return {"summary": "read", **lists, "lower_to": None, "lower_reason": "", **more}


def test_each_round_is_kept_without_the_articles_texts(
    make_filter: Build, given: Build, sample: Build, project: Path, scripted: Any
) -> None:
    filter: Filter = make_filter()
    reader = scripted({"reading": _reading(prompt_edits=[EDIT])})
    first = judge_round(filter, given(), filter.folder, project, reader)
    kept = filter.folder / "calibration" / "round-01"
    assert (kept / "report.md").read_bytes() == first.report_path.read_bytes()
    assert read_record(kept / "report.json").agent == "prompt_calibration"
    assert (kept / "prompt.md.j2").read_text() == filter.prompt_template
    assert "+Be strict." in (kept / "prompt_edits.diff").read_text()
    assert (filter.folder / "prompt_edits.diff").read_text() == (
        kept / "prompt_edits.diff"
    ).read_text()
    rows = [json.loads(line) for line in (kept / "articles.jsonl").read_text().splitlines()]
    assert len(rows) == 50
    assert {"id", "key", "class", "class_reason", "seed", "state", "scores", "overall"} <= set(
        rows[0]
    )
    content = given().scored[0].article.content
    assert content not in (kept / "articles.jsonl").read_text()

    second = make_filter(prompt="Be strict.\n{{ article }}\n")
    judged = judge_round(second, given(sample(filter=second)), second.folder, project)
    assert (second.folder / "calibration" / "round-02" / "report.md").is_file()
    assert not (second.folder / "prompt_edits.diff").exists()
    trend = judged.front.numbers["trend"]
    assert [(one["number"], one["prompt"]) for one in trend] == [
        (1, filter.prompt_sha256[:8]),
        (2, second.prompt_sha256[:8]),
    ]
    assert "## All rounds so far" in judged.report.body
    assert f"`{filter.prompt_sha256[:8]}`" in judged.report.body


def test_a_round_judged_again_is_kept_once(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    for _ in range(2):
        judge_round(floods, given(), home, project)
    assert [one.name for one in (home / "calibration").glob("round-*")] == ["round-01"]


def test_scopes_and_reading_are_part_of_the_rounds_money(
    floods: Filter, given: Build, home: Path, project: Path, scripted: Any
) -> None:
    scope = {"class": "on_topic", "reason": "it is"}
    reader = scripted({"reading": _reading(), "scope": scope}, cost_usd=0.02)
    judged = judge_round(floods, given(classes_reviewed=False), home, project, reader)
    costs = judged.front.numbers["costs"]
    assert costs["this_round"] == costs["so_far"] == 0.07
    assert costs["spent"] == {"answers": 0.05, "probes": 0.0, "reading": 0.02}
    assert costs["per_article"] == 0.001
    assert costs["to_fix"] == 0.14
    assert "| - scopes and reading | $0.0200 |" in judged.report.body
    again = judge_round(floods, given(classes_reviewed=False), home, project, reader)
    assert again.report_path.read_bytes() == judged.report_path.read_bytes()


def test_an_unusable_edit_is_reported_as_such(
    floods: Filter, given: Build, home: Path, project: Path, scripted: Any
) -> None:
    edits = [{"find": "{{ article }}", "replace": "", "why": "shorter"}]
    reader = scripted({"reading": _reading(prompt_edits=edits)})
    body = judge_round(floods, given(), home, project, reader).report.body
    assert "Proposed, but unusable:" in body
    assert "the prompt does not send the article (shorter)" in body
    assert "git apply" not in body
    assert not (home / "prompt_edits.diff").exists()


def test_what_recorded_answers_would_have_cost_is_not_added_to_what_was_paid(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    judge_round(floods, given(paid=False, oracle="recorded/m (1)"), home, project)
    paid = judge_round(floods, given(paid=True), home, project).front.numbers["costs"]
    assert paid["so_far"] == paid["this_round"] == 0.05
