"""The ledger: nothing lost, nothing counted twice, one writer, budgets that hold."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from distillery_core.errors import UserError
from distillery_core.oracle.client import OracleFailure, OracleReply, Usage
from distillery_core.oracle.ledger import BudgetExceeded, Ending, ItemKey, Ledger
from distillery_core.oracle.ledger_job import Job, open_job
from distillery_core.oracle.ledger_report import (
    activity,
    articles_asked,
    counts,
    export_items,
    money,
    token_means,
)

FILTER = "storm:v1"


def key(text: str = "t", prompt: str = "p") -> ItemKey:
    return ItemKey(text, prompt, "m", "params")


USAGE = Usage(10, 5, 4, 2)


def reply(text: str = '{"a": 1}', usage: Usage | None = USAGE) -> OracleReply:
    return OracleReply(text, "stop", usage, "m-2026", "fp1", 0.1)


def begin(
    job: Job, item: ItemKey | None = None, reserve: int = 100, budget: int | None = None
) -> int:
    return job.begin(item or key(), "id1", "ask", "json_schema", reserve, budget)


def job_of(ledger: Ledger, **changes: object):  # type: ignore[no-untyped-def]
    options = {"oracle": "o", "purpose": "batch", "paid": True} | changes
    return open_job(ledger, FILTER, **options)  # type: ignore[arg-type]


def test_attempt_is_on_disk_before_the_call_and_settled_after(ledger: Ledger) -> None:
    with job_of(ledger) as job:
        attempt = begin(job)
        with Ledger.open(ledger.path) as other:
            assert [past.state for past in other.history(key().digest)] == ["in_flight"]
            assert money(other, FILTER).held_usd == pytest.approx(1e-7)
        job.answered(attempt, reply(), 60, Ending("done", answer={"scores": {"a": 1}}))
    item = ledger.item(key().digest)
    assert item is not None
    assert (item.state, item.answer, item.attempts) == ("done", {"scores": {"a": 1}}, 1)
    assert item.cost_usd == pytest.approx(6e-8)
    assert money(ledger, FILTER).held_usd == 0
    row = next(export_items(ledger))["attempts"][0]
    assert (row["raw_answer"], row["fingerprint"], row["finish_reason"]) == (
        '{"a": 1}',
        "fp1",
        "stop",
    )
    assert (row["input_tokens"], row["cached_tokens"], row["reasoning_tokens"]) == (10, 4, 2)


def test_settling_twice_is_a_bug_that_shows(ledger: Ledger) -> None:
    with job_of(ledger) as job:
        attempt = begin(job)
        job.answered(attempt, reply(), 60, None)
        with pytest.raises(ValueError, match="already answered"):
            job.failed(attempt, OracleFailure("transient", "x"), None)
    assert money(ledger, FILTER).spent_usd == pytest.approx(6e-8)


def test_unknown_fate_stays_held(ledger: Ledger) -> None:
    with job_of(ledger) as job:
        job.failed(begin(job), OracleFailure("transient", "cut", maybe_charged=True), None)
        job.failed(begin(job), OracleFailure("overload", "429", status=429), None)
        job.answered(begin(job), reply(usage=None), None, None)
        job.interrupt(begin(job))
    assert money(ledger, FILTER).held_usd == pytest.approx(3e-7)


def test_in_flight_of_a_dead_process_is_interrupted_and_counts(ledger: Ledger) -> None:
    code = (
        "import os,sys; from pathlib import Path\n"
        "from distillery_core.oracle.ledger import *\n"
        "from distillery_core.oracle.ledger_job import open_job\n"
        "ledger = Ledger.open(Path(sys.argv[1]))\n"
        "with open_job(ledger, 'storm:v1', oracle='o', purpose='batch', paid=True) as job:\n"
        "    job.begin(ItemKey('t','p','m','params'), 'id1', 'ask', 'text', 700, None)\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(ledger.path)], check=False)
    with job_of(ledger) as job:
        assert job.interrupted == 1
        assert money(ledger, FILTER).held_usd == pytest.approx(7e-7)
        with pytest.raises(BudgetExceeded) as caught:
            begin(job, reserve=400, budget=1000)
        assert (caught.value.counted_nano, caught.value.in_flight) == (700, False)
    with job_of(ledger) as job:
        assert job.interrupted == 0
    assert activity(ledger, FILTER).interrupted == 1


def test_one_writer_a_filter_and_another_filter_is_free(ledger: Ledger) -> None:
    with job_of(ledger), Ledger.open(ledger.path) as other:
        with pytest.raises(UserError, match="another run is asking for storm:v1"), job_of(other):
            pass
        with open_job(other, "fire:v1", oracle="o", purpose="batch", paid=True):
            pass
    with job_of(ledger):
        pass


def test_writer_lock_dies_with_its_holder(ledger: Ledger) -> None:
    code = (
        "import sys,time; from pathlib import Path\n"
        "from distillery_core.oracle.ledger import Ledger\n"
        "from distillery_core.oracle.ledger_job import open_job\n"
        "ledger = Ledger.open(Path(sys.argv[1]))\n"
        "with open_job(ledger, 'storm:v1', oracle='o', purpose='batch', paid=True):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(ledger.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {child.pid}"), job_of(ledger):
            pass
        child.kill()
        child.wait()
        with job_of(ledger):
            pass


def test_skipped_question_is_open_again_once_it_is_asked(ledger: Ledger) -> None:
    with job_of(ledger, purpose="sample") as job:
        job.skip(key("a"), "id1", "too short")
        job.skip(key("b"), "id2", "too short")
        assert counts(ledger, FILTER) == {"skipped": 2}
        assert articles_asked(ledger, FILTER) == set()
        job.answered(begin(job, key("a")), reply(), 1, Ending("done", answer={}))
        job.skip(key("a"), "id1", "too short")
    assert counts(ledger, FILTER) == {"done": 1, "skipped": 1}
    assert articles_asked(ledger, FILTER) == {"a"}


def test_forgiving_keeps_the_record(ledger: Ledger) -> None:
    with job_of(ledger) as job:
        job.answered(begin(job), reply("no"), 1, Ending("rejected", reason="prose"))
        job.forgive(key().digest)
        item = ledger.item(key().digest)
        assert item is not None
        assert (item.state, item.forgiven_to) == ("open", 1)
        job.answered(begin(job), reply(), 1, Ending("done", answer={}))
        job.forgive(key().digest)
    item = ledger.item(key().digest)
    assert item is not None
    assert (item.state, item.attempts) == ("done", 2)


def test_token_means_are_per_prompt_and_model(ledger: Ledger) -> None:
    with job_of(ledger) as job:
        job.answered(begin(job), reply(), 100, None)
        job.answered(begin(job), reply(usage=Usage(30, 15)), 300, None)
    means = token_means(ledger, "p", "m")
    assert means is not None
    assert (means.n, means.input_tokens, means.output_tokens) == (2, 20, 10)
    assert token_means(ledger, "other", "m") is None


def test_unpaid_money_is_kept_apart(ledger: Ledger) -> None:
    with job_of(ledger, paid=False) as job:
        job.answered(begin(job), reply(), 500, None)
    shown = money(ledger, FILTER)
    assert (shown.spent_usd, shown.would_have_cost_usd) == (0, pytest.approx(5e-7))


def test_files_that_are_no_ledger_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.sqlite"
    broken.write_text("this is a text of more than sixteen characters")
    with pytest.raises(UserError, match="cannot be opened"):
        Ledger.open(broken)
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(UserError, match="newer distillery"):
        Ledger.open(newer)


def test_waits_for_the_disk_once_a_second_and_when_told(ledger: Ledger) -> None:
    def mode() -> int:
        return int(ledger.connection.execute("PRAGMA synchronous").fetchone()[0])

    normal, full = 1, 2
    with ledger.transaction():
        assert mode() == full
    with ledger.transaction():
        assert mode() == normal
    with ledger.transaction(sync=True):
        assert mode() == full
    ledger._synced_at -= 1.0
    with ledger.transaction():
        assert mode() == full


class Bookkeeping(RuleBasedStateMachine):
    """Any order of calls, replies, failures and deaths: the sums agree and budgets hold."""

    @initialize(budget=st.integers(0, 3000))
    def open(self, budget: int) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Ledger.open(Path(self.folder.name) / "ledger.sqlite")
        self.budget = budget
        self.in_flight: dict[int, int] = {}
        self.spent = self.held = 0
        self.start()

    def start(self) -> None:
        self.context = job_of(self.ledger)
        self.job = self.context.__enter__()

    @rule(text=st.sampled_from("abc"), reserve=st.integers(0, 900))
    def begin(self, text: str, reserve: int) -> None:
        counted = self.spent + self.held + sum(self.in_flight.values())
        if counted + reserve > self.budget:
            with pytest.raises(BudgetExceeded) as caught:
                begin(self.job, key(text), reserve, self.budget)
            assert caught.value.in_flight == bool(self.in_flight)
        else:
            self.in_flight[begin(self.job, key(text), reserve, self.budget)] = reserve

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), share=st.floats(0, 1), ending=st.booleans())
    def answered(self, data: st.DataObject, share: float, ending: bool) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.in_flight)))
        cost = int(self.in_flight.pop(attempt) * share)
        self.spent += cost
        end = Ending("done", answer={}) if ending else None
        self.job.answered(attempt, reply(), cost, end)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), charged=st.booleans())
    def failed(self, data: st.DataObject, charged: bool) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.in_flight)))
        reserve = self.in_flight.pop(attempt)
        self.held += reserve if charged else 0
        self.job.failed(attempt, OracleFailure("transient", "x", maybe_charged=charged), None)

    @rule()
    def next_run(self) -> None:
        self.context.__exit__(None, None, None)
        self.held += sum(self.in_flight.values())
        self.in_flight.clear()
        self.start()

    @invariant()
    def sums_agree(self) -> None:
        if not hasattr(self, "ledger"):
            return
        query = "SELECT coalesce(sum(cost_nano),0), coalesce(sum(held_nano),0) FROM "
        attempts = self.ledger.connection.execute(query + "attempts").fetchone()
        totals = self.ledger.connection.execute(query + "totals").fetchone()
        expected = (self.spent, self.held + sum(self.in_flight.values()))
        assert tuple(attempts) == tuple(totals) == expected
        assert sum(expected) <= self.budget

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.context.__exit__(None, None, None)
            self.ledger.close()
            self.folder.cleanup()


TestBookkeeping = Bookkeeping.TestCase
TestBookkeeping.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
