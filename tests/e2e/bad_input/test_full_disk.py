"""A disk that fills up mid-run stops the run in one line; the last good state is kept."""

from __future__ import annotations

from typing import Any

from tests.full_disk import files_of_at_most

LABEL = ("label", "--filter", "storm", "--output", "out.jsonl", "--input")
ARTICLES = 60
CONCURRENCY = 4


def assert_stopped(outcome: Any, *words: str) -> None:
    assert outcome.code == 2, outcome.err
    assert "Traceback" not in outcome.err
    assert sum(line.startswith("error: ") for line in outcome.err.splitlines()) == 1
    for word in words:
        assert word in outcome.err


def test_label_stops_and_goes_on_when_there_is_space(kit: Any) -> None:
    server = kit.serve(latency_s=0.005, concurrency=CONCURRENCY)
    # Rows with much beside the text make the output grow faster than the ledger, and others not.
    kit.articles(ARTICLES, "fat.jsonl", html="x" * 150_000)
    kit.articles(ARTICLES)
    (kit.project / "out.jsonl").write_text('{"older": "output"}\n', encoding="utf-8")
    before = kit.snapshot(".distillery")

    with files_of_at_most(5_000_000):
        assert_stopped(
            kit.run(*LABEL, "fat.jsonl"), "the disk is full", "run the same command again"
        )
    assert kit.snapshot(".distillery") == before, "the older output is as it was, and alone"
    first = kit.attempts()
    assert 20 < first["answered"] < ARTICLES
    assert first["interrupted"] <= CONCURRENCY
    assert first["in_flight"] == 0, "no call outlives the run that recorded it"

    ledger = kit.project / ".distillery" / "ledger.sqlite"
    with files_of_at_most(ledger.stat().st_size + 4096):
        assert_stopped(kit.run(*LABEL, "articles.jsonl"), "ledger", "free space")
    assert kit.snapshot(".distillery") == before

    assert kit.run(*LABEL, "articles.jsonl").code == 0
    assert len(kit.rows(kit.project / "out.jsonl")) == ARTICLES
    last = kit.attempts()
    assert last["answered"] == ARTICLES, "no answer in the ledger was asked for again"
    assert last["in_flight"] == 0
    assert server.requests.total() <= ARTICLES + last["interrupted"]


def test_score_keeps_the_older_scores(kit: Any) -> None:
    score = ("score", "--filter", "tiny:v1", "--unpromoted", "--input", "labelled.jsonl")
    (kit.project / "s.jsonl").write_text('{"older": "scores"}\n', encoding="utf-8")
    before = kit.snapshot()
    with files_of_at_most(4096):
        outcome = kit.run(*score, "--output", "s.jsonl")
    assert_stopped(outcome, "s.jsonl: cannot be written", "an older file there is as it was")
    assert kit.snapshot() == before


def test_train_keeps_the_last_good_model(kit: Any) -> None:
    before = kit.snapshot(".distillery")  # token ids may be kept there, whole
    train = ("train", "--filter", "tiny", "--model-name", "./base", "--epochs", "1")
    small = ("--max-length", "32", "--no-mlflow", "--seed", "7", "--threads", "1")
    with files_of_at_most(60_000):
        outcome = kit.run(*train, *small)
    assert_stopped(outcome, "the model cannot be saved", "the last good model is still there")
    assert kit.snapshot(".distillery") == before
    with files_of_at_most(60_000):
        outcome = kit.run(*train, *small, "--output-dir", "new")
    assert_stopped(outcome, "the model cannot be saved")
    assert "last good model" not in outcome.err, "there was none"


def test_prepare_keeps_the_last_dataset(kit: Any) -> None:
    before = kit.snapshot()
    with files_of_at_most(8192):
        outcome = kit.run("prepare", "--filter", "tiny", "--input", "labelled.jsonl")
    assert_stopped(outcome, "the disk is full")
    assert kit.snapshot() == before
