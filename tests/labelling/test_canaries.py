"""Canaries: an oracle whose answers shift midway stops the run, a noisy stable one does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distillery_core.filters import Filter
from distillery_core.labelling import LabelSettings, label_file
from distillery_core.labelling.canaries import CanarySettings
from distillery_core.labelling.run import LabellingStopped
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_report import export_items

CANARIES = LabelSettings(
    backoff_s=0.001, backoff_cap_s=0.01, canaries=CanarySettings(every=20, articles=10, limit=0.5)
)
NOISE = (-1.0, -0.5, 0.0, 0.0, 0.5, 1.0)
Make = Callable[..., Any]
Run = Callable[..., Any]


@pytest.fixture
def run(storm: Filter, project: Path, corpus: Make, spec_for: Make) -> Run:
    """Label 100 articles from a server."""

    def label(server: Any, settings: LabelSettings = CANARIES, rows: int = 100) -> Any:
        output = project / "out.jsonl"
        spec = spec_for(server, concurrency=4)
        return label_file(
            storm, corpus(rows), output, spec=spec, project=project, settings=settings
        )

    return label


def occasions(project: Path) -> dict[str, int]:
    with Ledger.open(project / ".distillery" / "ledger.sqlite") as ledger:
        found = [item["occasion"] for item in export_items(ledger)]
    return {name: found.count(name) for name in sorted(set(found))}


def test_a_stable_noisy_oracle_is_let_through(run: Run, serve_noisy: Make, project: Path) -> None:
    summary = run(serve_noisy(noise=NOISE))
    assert summary.states == {"done": 100}
    assert [(one.round, one.articles, one.after_answers) for one in summary.canaries] == [
        (1, 10, 20), (2, 10, 40), (3, 10, 60), (4, 10, 80), (5, 10, 100),
    ]  # fmt: skip
    assert not any(one.fired for one in summary.canaries)
    assert any(drift.bias for one in summary.canaries for drift in one.drifts)
    assert occasions(project) == {"": 100, **{f"canary {n}": 10 for n in range(1, 6)}}


def test_a_shift_midway_stops_the_run_and_says_how_to_go_on(
    run: Run, serve_noisy: Make, project: Path
) -> None:
    server = serve_noisy(noise=NOISE, moved=3.0, moves_at=50)
    with pytest.raises(LabellingStopped) as stopped:
        run(server)
    assert "the oracle has drifted: " in stopped.value.what
    assert "wind +" in stopped.value.what
    assert "calibrate" in str(stopped.value.hint)
    summary = stopped.value.summary
    assert summary.stopped == stopped.value.what
    assert [bool(one.fired) for one in summary.canaries] == [False, True]
    assert server.requests.total() < 120
    assert not (project / "out.jsonl").exists()


def test_after_a_drift_the_canaries_are_asked_first(
    run: Run, serve_noisy: Make, project: Path
) -> None:
    server = serve_noisy(noise=NOISE, moved=3.0, moves_at=50)
    with pytest.raises(LabellingStopped):
        run(server)
    asked = server.requests.total()
    with pytest.raises(LabellingStopped, match="round 3"):
        run(server)
    # One round, and what was in flight beside it.
    assert server.requests.total() - asked <= 10 + 80
    server.moved = 0.0
    assert run(server).states == {"done": 100}


def test_a_mixture_can_be_had_by_asking_for_it(run: Run, serve_noisy: Make) -> None:
    server = serve_noisy(moved=3.0, moves_at=50)
    with pytest.raises(LabellingStopped):
        run(server)
    summary = run(server, replace(CANARIES, canaries=CanarySettings()))
    assert summary.states == {"done": 100}
    assert summary.canaries == ()


def test_rounds_that_are_in_the_ledger_are_not_asked_again(
    run: Run, serve_noisy: Make, project: Path
) -> None:
    server = serve_noisy(noise=NOISE)
    run(server, rows=50)
    asked = server.requests.total()
    assert asked == 50 + 2 * 10
    run(server, rows=50)
    assert server.requests.total() == asked
    # More articles: rounds go on being counted.
    assert [one.round for one in run(server, rows=100).canaries] == [3, 4]


def test_nothing_is_asked_where_none_are_wanted(run: Run, serve_noisy: Make) -> None:
    server = serve_noisy()
    run(server, LabelSettings(), rows=30)
    assert server.requests.total() == 30
