"""Kill -9 at every step of a provider batch: the next run takes it up, nothing is paid for twice.

A child process kills itself at a step; the next one resumes and dies at the following step. The
server, which lives on, counts what it answered.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distillery_core.filters import Filter
from distillery_core.labelling import label_file
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_batches import batches_under_way
from distillery_core.oracle.ledger_report import money
from distillery_core.oracle.replay_batches import BatchBehaviour
from tests.labelling.killed import label_by_batch, start

Make = Callable[..., Any]
ROWS = 40
STEPS = {
    "the file of requests is written": "batch.write_batch 1 before",
    "the batch is in the ledger": "remote.upload 1 before",
    "the file is uploaded": "remote.upload 1 after",
    "the file's id is in the ledger": "remote.create 1 before",
    "the batch is created": "remote.create 1 after",
    "the batch's id is in the ledger": "remote.retrieve 1 before",
    "the result is downloaded": "remote.download 1 after",
    "half of it is collected": "job.answered 20 after",
    "all of it is collected": "collect.note_batch 1 before",
}


def without_accounts(path: Path) -> list[Any]:
    """The labelled rows but for the accounts, which differ between batch and call."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        for name in ("labelled_at", "cost_usd", "attempts"):
            del row["storm_analysis"]["provenance"][name]
    return rows


def test_killed_at_every_step_a_batch_is_made_once_and_paid_for_once(
    storm: Filter, project: Path, serve: Make, spec_for: Make, corpus: Make
) -> None:
    server = serve(batch=BatchBehaviour(seconds=0.01, expires_at=0.9))
    spec = spec_for(server, batch=True)
    price = spec.price.model_copy(update={"batch_discount": 0.5})
    spec = spec.model_copy(update={"price": price})
    fixed = [str(storm.folder), str(project), spec.model_dump_json(), str(ROWS)]
    for step, where in STEPS.items():
        child = start(label_by_batch, *fixed, *where.split())
        child.join()
        assert child.exitcode == -signal.SIGKILL, step
    child = start(label_by_batch, *fixed, "remote.cancel", "1", "before")
    child.join()
    assert child.exitcode == 0

    assert len(server.batches.batches) == 1
    assert max(server.batches.answered.values()) == 1, "a request was answered twice by batches"
    with Ledger.open(project / ".distillery" / "ledger.sqlite") as ledger:
        assert batches_under_way(ledger) == []
        assert money(ledger).held_usd == 0
        counts = ledger.connection.execute(
            "SELECT state, count(*) FROM attempts JOIN batch_requests ON attempt_id = id GROUP BY 1"
        ).fetchall()
    answered = server.batches.answered.total()
    assert dict(map(tuple, counts)) == {"answered": answered, "failed": ROWS - 2 - answered}
    assert not list((project / ".distillery" / "batches" / storm.slug).iterdir())

    output, source = project / "out.jsonl", corpus(ROWS)
    summary = label_file(storm, source, output, spec=spec, project=project)
    assert summary.states == {"done": ROWS}
    assert summary.from_ledger == answered + 2
    assert max(server.requests.values()) == 1, "what the batch answered was asked again"

    fresh = project.parent / "fresh"
    label_file(storm, source, fresh / "out.jsonl", spec=spec, project=fresh)
    assert without_accounts(output) == without_accounts(fresh / "out.jsonl")
