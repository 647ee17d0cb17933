"""A run that is killed or interrupted, as a process: the same command again goes on from there."""

from __future__ import annotations

import signal
import time
from typing import Any

LABEL = ("label", "--filter", "storm", "--input", "articles.jsonl", "--output", "out.jsonl")
ARTICLES = 120
CONCURRENCY = 4
# A shell that starts pytest in the background lets its children ignore Ctrl-C.
SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from distillery_core.cli.main import main
sys.exit(main())
"""


def stop_after(kit: Any, server: Any, answers: int, how: signal.Signals) -> tuple[int, str, str]:
    """Start the command, send the signal once so many more answers were given."""
    goal = server.answered.total() + answers
    process = kit.start(*LABEL, script=SCRIPT)
    deadline = time.monotonic() + 60
    while server.answered.total() < goal and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_killed_then_interrupted_then_finished(kit: Any) -> None:
    server = kit.serve(latency_s=0.03, concurrency=CONCURRENCY, api_key_env="PATH")
    kit.articles(ARTICLES)
    before = kit.snapshot(".distillery")

    code, _, _ = stop_after(kit, server, 25, signal.SIGKILL)
    assert code == -signal.SIGKILL
    killed = kit.attempts()
    assert killed["answered"] >= 20
    assert killed["in_flight"] <= CONCURRENCY
    assert not (kit.project / "out.jsonl").exists()

    code, out, err = stop_after(kit, server, 25, signal.SIGINT)
    assert (code, out) == (130, "")
    assert "Traceback" not in err
    assert "interrupted; what is finished is kept, the same command goes on from there" in err
    interrupted = kit.attempts()
    assert interrupted["answered"] >= killed["answered"] + 20
    assert interrupted["in_flight"] == 0
    assert interrupted["interrupted"] <= 2 * CONCURRENCY
    assert kit.snapshot(".distillery") == before, "nothing half-written is left"

    done = kit.spawn(*LABEL)
    assert done.code == 0, done.err
    assert f"{interrupted['answered']} answers from the ledger" in done.out
    assert len(kit.rows(kit.project / "out.jsonl")) == ARTICLES
    last = kit.attempts()
    assert last["answered"] == ARTICLES, "no answer that reached the ledger was asked for again"
    assert server.requests.total() <= ARTICLES + last["interrupted"]
