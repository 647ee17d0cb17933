"""Kill -9 at every step of a provider batch: the next run takes it up, nothing is paid for twice.

A child process kills itself at a step; the next one resumes and dies at the following step. The
server, which lives on, counts what it answered.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distillery_core.filters import Filter
from distillery_core.labelling import label_file
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_batches import batches_under_way
from distillery_core.oracle.ledger_report import money
from distillery_core.oracle.replay_batches import BatchBehaviour

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
CHILD = """
import asyncio, inspect, os, signal, sys
from pathlib import Path
import distillery_core.labelling.provider_batch as batch
import distillery_core.oracle.provider_batch_collect as collect
from distillery_core.files import now_utc
from distillery_core.filters import load_filter
from distillery_core.labelling.run import LabelSettings
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_job import Job as job, open_job
from distillery_core.oracle.opening import open_oracle
from distillery_core.oracle.provider_batch_openai import OpenAIBatches as remote
from distillery_core.oracle.provider_batch_send import Patience
from distillery_core.oracle.spec import OracleSpec
from distillery_core.types import Article

folder, project, spec, rows, where, calls, when = sys.argv[1:]
owner, name = where.split(".")
owners = {"batch": batch, "collect": collect, "job": job, "remote": remote}
owner, left = owners[owner], [int(calls)]
original = getattr(owner, name)

def die(moment):
    if moment == when:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

def plain(*args, **kwargs):
    die("before")
    result = original(*args, **kwargs)
    die("after")
    return result

async def awaited(*args, **kwargs):
    die("before")
    result = await original(*args, **kwargs)
    die("after")
    return result

setattr(owner, name, awaited if inspect.iscoroutinefunction(original) else plain)
project, filter = Path(project), load_filter(Path(folder))
spec = OracleSpec.model_validate_json(spec)
articles = [
    Article(f"a{n:03}", f"Storm {n}", f"Storm number {n} hit the coast.") for n in range(int(rows))
]
patience = Patience(listing_s=0.01, poll_s=0.02, poll_cap_s=0.05, backoff_s=0.01)

async def run():
    async with open_oracle(spec) as oracle:
        with Ledger.open(project / ".distillery" / "ledger.sqlite") as ledger:
            asked_as = {"oracle": spec.name, "purpose": "batch", "paid": True}
            with open_job(ledger, filter.label, **asked_as) as job:
                place = project / ".distillery" / "batches" / filter.slug
                settings = {"settings": LabelSettings(),
                            "batch": batch.BatchSettings(patience=patience)}
                run = batch.ProviderBatchRun(filter, oracle, job, place, **settings)
                await run.run(lambda: articles)

asyncio.run(run())
"""


def run_child(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHILD, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


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
        child = run_child(*fixed, *where.split())
        assert child.returncode == -signal.SIGKILL, f"{step}: {child.stderr[-2000:]}"
    child = run_child(*fixed, "remote.cancel", "1", "before")
    assert child.returncode == 0, child.stderr[-2000:]

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
