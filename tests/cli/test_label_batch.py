"""`distillery label --provider-batch`, with recorded answers: a whole run, and what is refused."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from distillery_filter_crisis.corpus import articles

Run = Callable[..., Any]
ROWS = 12


@pytest.fixture
def sample(project: Path) -> Path:
    """A sample, which needs no gate."""
    path = project / "sample.jsonl"
    drawn = {"class": "on_topic", "round": "calibration"}
    rows = [json.dumps(row | {"sample": drawn}) for row in islice(articles(), ROWS)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_labels_by_batch_and_writes_them(run: Run, project: Path, sample: Path) -> None:
    label = ("label", "--filter", "crisis", "--input", str(sample), "--output", "out.jsonl")
    outcome = run(*label, "--provider-batch")
    assert outcome.code == 0, outcome.err
    assert f"submitted: {ROWS - 1} requests in 1 batches" in outcome.out
    assert "recorded, would have cost about" in outcome.out
    assert "at the batch price" in outcome.err
    assert len((project / "out.jsonl").read_text().splitlines()) == ROWS
    with sqlite3.connect(project / ".distillery" / "ledger.sqlite") as ledger:
        batches = ledger.execute("SELECT state, status, requests FROM batches").fetchall()
    assert batches == [("ended", "completed", ROWS - 1)]

    with sqlite3.connect(project / ".distillery" / "ledger.sqlite") as ledger:
        ledger.execute("UPDATE batches SET state = 'created'")
    shown = run("ledger", "show")
    assert f"crisis:v1: {ROWS - 1} questions wait in batch batch_2 at recorded" in shown.err

    again = run(*label, "--provider-batch", "--json")
    assert again.code == 0
    assert again.json["from_ledger"] == ROWS


def test_a_batch_lost_with_its_process_is_asked_again(
    run: Run, project: Path, sample: Path
) -> None:
    """A replayed batch ends with its server, and costs nothing."""
    label = ("label", "--filter", "crisis", "--input", str(sample), "--output", "out.jsonl")
    assert run(*label, "--provider-batch").code == 0
    with sqlite3.connect(project / ".distillery" / "ledger.sqlite") as ledger:
        ledger.execute("UPDATE batches SET state = 'created'")
        ledger.execute(
            "UPDATE items SET state = 'open', answer = NULL WHERE key IN (SELECT item_key FROM"
            " attempts JOIN batch_requests ON attempt_id = id)"
        )
        ledger.execute(
            "UPDATE attempts SET state = 'in_flight' WHERE id IN"
            " (SELECT attempt_id FROM batch_requests)"
        )
    outcome = run(*label, "--provider-batch")
    assert outcome.code == 0, outcome.err
    assert f"submitted: {ROWS - 2} requests" in outcome.out
    assert "11 not_run" in outcome.out
    assert len((project / "out.jsonl").read_text().splitlines()) == ROWS


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--provider-batch", "--no-wait"], "replayed by this very process"),
        (["--provider-batch", "--repeats", "2"], "asks one oracle once"),
        (["--provider-batch", "--oracle", "ollama"], "takes no batches"),
    ],
)
def test_what_cannot_go_into_a_batch(run: Run, sample: Path, options: list[str], says: str) -> None:
    outcome = run("label", "--filter", "crisis", "--input", str(sample), *options)
    assert outcome.code == 2
    assert says in outcome.err


def test_a_corpus_needs_its_gate(run: Run, project: Path) -> None:
    rows = [json.dumps(row) for row in islice(articles(), ROWS)]
    (project / "articles.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    label = ("label", "--filter", "crisis", "--input", "articles.jsonl", "--provider-batch")
    outcome = run(*label)
    assert outcome.code == 1
    assert not (project / ".distillery" / "batches").exists()
