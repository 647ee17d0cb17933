"""Kill -9 at random moments: no recorded answer is lost or asked again, the output is the same.

`DISTILLERY_KILLS=50` kills more often than the suite does.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distillery_core.filters import Filter
from distillery_core.labelling import label_file
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.spec import OracleSpec
from tests.labelling.killed import label, start

Make = Callable[..., Any]

KILLS = int(os.environ.get("DISTILLERY_KILLS", "5"))
ROWS = 200
CONCURRENCY = 4


def recorded(project: Path) -> set[str]:
    """Texts with an answer in the ledger."""
    path = project / ".distillery" / "ledger.sqlite"
    if not path.exists():
        return set()
    with Ledger.open(path) as ledger:
        rows = ledger.connection.execute("SELECT article_id FROM items WHERE state = 'done'")
        return {row[0] for row in rows}


def without_times(path: Path) -> list[Any]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        del row["storm_analysis"]["provenance"]["labelled_at"]
        del row["storm_analysis"]["provenance"]["parameters_sha256"]  # holds the server's port
    return rows


def run_and_kill(arguments: list[str], project: Path, wanted: int) -> None:
    """Start a run and kill it once `wanted` more answers are in the ledger."""
    before = len(recorded(project))
    child = start(label, *arguments)
    deadline = time.monotonic() + 60
    while child.is_alive() and time.monotonic() < deadline:
        if len(recorded(project)) >= before + wanted:
            break
        time.sleep(0.002)
    child.kill()
    child.join()


def test_killed_runs_lose_nothing_and_ask_nothing_twice(
    storm: Filter, project: Path, serve: Make, spec_for: Make, corpus: Make, text_key: Make
) -> None:
    server = serve(latency_s=0.01)
    spec: OracleSpec = spec_for(server, concurrency=CONCURRENCY)
    source, output = corpus(ROWS), project / "out.jsonl"
    arguments = [str(path) for path in (storm.folder, source, output, project)]
    arguments.append(spec.model_dump_json())
    chance = random.Random(7)
    key_of_id = {f"a{number:03}": text_key(number) for number in range(ROWS)}
    for _ in range(KILLS):
        known, asked = recorded(project), dict(server.requests)
        run_and_kill(arguments, project, chance.randint(0, max(ROWS // (KILLS + 1), 1)))
        assert known <= recorded(project), "an answer in the ledger was lost"
        again = [i for i in known if server.requests[key_of_id[i]] != asked[key_of_id[i]]]
        assert not again, "an answer in the ledger was asked again"
        assert not output.exists()
    summary = label_file(storm, source, output, spec=spec, project=project)
    assert summary.states == {"done": ROWS}
    repeats = server.requests.total() - ROWS
    assert 0 <= repeats <= KILLS * CONCURRENCY
    assert summary.interrupted <= CONCURRENCY
    with Ledger.open(project / ".distillery" / "ledger.sqlite") as ledger:
        states = dict(
            ledger.connection.execute("SELECT state, count(*) FROM attempts GROUP BY 1").fetchall()
        )
        held = ledger.connection.execute("SELECT sum(held_nano) FROM totals").fetchone()[0]
    assert states["answered"] == ROWS
    assert repeats <= states.get("interrupted", 0) <= KILLS * CONCURRENCY
    assert (held > 0) == (states.get("interrupted", 0) > 0)
    assert not list(project.glob(".out.jsonl*")), "temporary files of killed runs are removed"

    fresh = project.parent / "fresh"
    label_file(storm, source, fresh / "out.jsonl", spec=spec, project=fresh)
    assert without_times(output) == without_times(fresh / "out.jsonl")
