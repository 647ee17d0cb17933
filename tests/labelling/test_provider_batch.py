"""Provider batches against a real server: half price, partial results, and the rest topped up."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters import Filter
from distillery_core.labelling import LabelSettings, label_file
from distillery_core.labelling.provider_batch import BatchSettings, BatchSummary, ProviderBatchRun
from distillery_core.labelling.run import LabellingStopped
from distillery_core.oracle.faults import Fault
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_batches import batches_under_way
from distillery_core.oracle.ledger_job import open_job
from distillery_core.oracle.ledger_report import money
from distillery_core.oracle.opening import open_oracle
from distillery_core.oracle.provider_batch import BatchLimits
from distillery_core.oracle.provider_batch_send import Patience
from distillery_core.oracle.replay_batches import BatchBehaviour
from distillery_core.oracle.replay_server import ReplayServer
from distillery_core.oracle.spec import OracleSpec

Make = Callable[..., Any]
QUICK = Patience(
    tries=4, backoff_s=0.001, backoff_cap_s=0.01, listing_s=0.01, poll_s=0.01, poll_cap_s=0.02
)
ROWS = 30


class Setup:
    """A filter, its project, and ways to label in it."""

    def __init__(self, filter: Filter, project: Path, serve: Make, spec_for: Make, corpus: Make):
        self.filter, self.project = filter, project
        self.serve, self._spec_for, self.corpus = serve, spec_for, corpus
        self.output = project / "out.jsonl"
        self.said: list[str] = []

    def spec(self, server: ReplayServer, **changes: Any) -> OracleSpec:
        spec: OracleSpec = self._spec_for(server, batch=True, **changes)
        assert spec.price is not None
        return spec.model_copy(
            update={"price": spec.price.model_copy(update={"batch_discount": 0.5})}
        )

    def batch(self, spec: OracleSpec, articles: Any, cancel: bool = False, **options: Any) -> Any:
        settings = options.pop("settings", LabelSettings())
        batch = BatchSettings(**{"patience": QUICK} | options)

        async def go() -> BatchSummary:
            asked_as = {"oracle": spec.name, "purpose": "batch", "paid": spec.paid}
            async with open_oracle(spec) as oracle:
                with (
                    self.ledger() as ledger,
                    open_job(ledger, self.filter.label, **asked_as) as job,
                ):
                    run = ProviderBatchRun(
                        *(self.filter, oracle, job, self.folder),
                        settings=settings,
                        batch=batch,
                        say=self.said.append,
                    )
                    return await (run.cancel() if cancel else run.run(lambda: articles))

        return asyncio.run(go())

    def label(self, spec: OracleSpec, rows: int = ROWS) -> Any:
        settings = LabelSettings(backoff_s=0.001, backoff_cap_s=0.01)
        return label_file(
            *(self.filter, self.corpus(rows), self.output),
            spec=spec,
            project=self.project,
            settings=settings,
        )

    @property
    def folder(self) -> Path:
        return self.project / ".distillery" / "batches" / self.filter.slug

    def ledger(self) -> Ledger:
        return Ledger.open(self.project / ".distillery" / "ledger.sqlite")

    def scores(self) -> dict[str, Any]:
        rows = [json.loads(line) for line in self.output.read_text().splitlines()]
        return {row["id"]: row["storm_analysis"]["dimensions"] for row in rows}


@pytest.fixture
def setup(storm: Filter, project: Path, serve: Make, spec_for: Make, corpus: Make) -> Setup:
    return Setup(storm, project, serve, spec_for, corpus)


def test_all_is_answered_at_half_price_and_the_labels_are_those_of_calls(
    setup: Setup, articles: Make
) -> None:
    server = setup.serve()
    spec = setup.spec(server)
    summary = setup.batch(spec, articles(ROWS))
    assert (summary.submitted, summary.batches) == (ROWS - 1, 1)
    assert summary.counts == {"answered": ROWS - 1, "done": ROWS - 1}
    assert server.requests.total() == 1, "one question goes first, alone"
    labelled = setup.label(spec)
    assert (labelled.asked, labelled.from_ledger) == (0, ROWS)
    with setup.ledger() as ledger:
        assert money(ledger).held_usd == 0
        by_call, by_batch = ledger.connection.execute(
            "SELECT max(cost_nano), min(cost_nano) FROM attempts"
        ).fetchone()
        assert by_batch == pytest.approx(by_call / 2, rel=0.1)
        assert summary.cost_usd == pytest.approx(money(ledger).spent_usd)
    assert not list(setup.folder.iterdir()), "neither requests nor results are left on disk"

    by_batches = setup.scores()
    again = Setup(setup.filter, setup.project / "calls", setup.serve, setup._spec_for, setup.corpus)
    again.label(spec)
    assert again.scores() == by_batches


def test_what_expired_is_topped_up_by_calls(setup: Setup, articles: Make) -> None:
    server = setup.serve(batch=BatchBehaviour(expires_at=0.6))
    spec = setup.spec(server)
    summary = setup.batch(spec, articles(ROWS))
    assert summary.counts == {"answered": 17, "done": 17, "expired": 12}
    labelled = setup.label(spec)
    assert (labelled.asked, labelled.from_ledger) == (12, 18)
    assert len(server.batches.batches) == 1, "what expired is not put into another batch"
    assert len(setup.scores()) == ROWS
    assert max(server.batches.answered.values()) == 1


@pytest.mark.parametrize(
    ("fault", "calls", "states"),
    [
        pytest.param(Fault("prose", first=1), {"repair"}, {"done": ROWS}, id="repaired"),
        pytest.param(Fault("length", first=1), {"longer"}, {"done": ROWS}, id="longer"),
        pytest.param(Fault("fenced", first=1), set(), {"done": ROWS}, id="tolerated"),
        pytest.param(Fault("status", status=503, first=1), {"ask"}, {"done": ROWS}, id="retried"),
        pytest.param(Fault("refusal"), set(), {"done": ROWS - 5, "failed": 5}, id="refused"),
    ],
)
def test_a_line_that_failed_is_decided_as_a_call_would_be(
    setup: Setup, articles: Make, text_key: Make, fault: Any, calls: set[str], states: Any
) -> None:
    texts = frozenset(text_key(number) for number in range(5, 10))
    rule = Fault(fault.kind, status=fault.status, first=fault.first, texts=texts)
    spec = setup.spec(setup.serve(rule))
    setup.batch(spec, articles(ROWS))
    try:
        assert setup.label(spec).states == states
    except CheckFailed:
        assert states["failed"] == 5
    with setup.ledger() as ledger:
        steps = ledger.connection.execute(
            "SELECT a.step, count(*) FROM attempts a WHERE a.id NOT IN"
            " (SELECT attempt_id FROM batch_requests) AND a.id > 1 GROUP BY 1"
        ).fetchall()
    assert {row[0]: row[1] for row in steps} == dict.fromkeys(calls, 5)


def test_requests_that_no_result_names_are_held_and_asked_again(
    setup: Setup, articles: Make
) -> None:
    server = setup.serve(batch=BatchBehaviour(omitted=0.3))
    spec = setup.spec(server)
    lost = setup.batch(spec, articles(ROWS)).counts["lost"]
    assert lost > 0
    with setup.ledger() as ledger:
        assert money(ledger).held_usd > 0, "the provider may charge for them"
    assert setup.label(spec).asked == lost


def test_provider_limits_make_several_batches(setup: Setup, articles: Make) -> None:
    limits = BatchLimits(requests=10)
    server = setup.serve(batch=BatchBehaviour(limits=limits))
    summary = setup.batch(setup.spec(server), articles(ROWS), limits=limits)
    assert (summary.submitted, summary.batches) == (29, 3)
    assert summary.counts["done"] == 29

    small = BatchLimits(bytes=12_000)
    server = setup.serve(batch=BatchBehaviour(limits=small))
    summary = setup.batch(setup.spec(server), articles(60), limits=small)
    assert summary.batches > 3
    assert summary.counts["done"] == summary.submitted


def test_a_full_queue_is_waited_for(setup: Setup, articles: Make) -> None:
    server = setup.serve(batch=BatchBehaviour(queue=12, seconds=0.3))
    spec = setup.spec(server)
    summary = setup.batch(spec, articles(ROWS), limits=BatchLimits(requests=10))
    assert summary.counts["not_run"] > 0
    assert summary.counts["done"] + server.requests.total() == ROWS
    assert setup.label(spec).states == {"done": ROWS}
    assert max(server.batches.answered.values()) == 1


def test_a_queue_without_any_room_stops(setup: Setup, articles: Make) -> None:
    spec = setup.spec(setup.serve(batch=BatchBehaviour(queue=5)))
    with pytest.raises(CheckFailed, match="no room"):
        setup.batch(spec, articles(ROWS))


def test_a_refused_batch_stops_before_anything_is_asked_at_full_price(
    setup: Setup, articles: Make
) -> None:
    server = setup.serve(batch=BatchBehaviour(refused="invalid_model"))
    spec = setup.spec(server)
    with pytest.raises(CheckFailed, match="invalid_model") as caught:
        setup.batch(spec, articles(ROWS))
    assert "full price" in (caught.value.hint or "")
    assert server.requests.total() == 1
    with setup.ledger() as ledger:
        assert money(ledger).held_usd == 0
    server.batches.behaviour = BatchBehaviour()
    assert setup.batch(spec, articles(ROWS)).counts["done"] == ROWS - 2


def test_budget_is_reserved_at_the_batch_price_and_the_rest_follows(
    setup: Setup, articles: Make
) -> None:
    server = setup.serve()
    spec = setup.spec(server)
    setup.batch(spec, articles(1))
    with setup.ledger() as ledger:
        worst = ledger.connection.execute("SELECT max(reserved_nano) FROM attempts").fetchone()[0]
    budget = worst * 7 / 1e9  # fits about 12 requests at half price, 30 cost far less in the end
    summary = setup.batch(spec, articles(ROWS), settings=LabelSettings(budget_usd=budget))
    assert summary.batches > 1
    with setup.ledger() as ledger:
        spent = money(ledger)
    assert spent.spent_usd + spent.held_usd <= budget
    assert setup.label(spec).states == {"done": ROWS}


def test_no_wait_submits_and_the_next_run_collects(setup: Setup, articles: Make) -> None:
    server = setup.serve(batch=BatchBehaviour(seconds=0.3))
    spec = setup.spec(server)
    first = setup.batch(spec, articles(ROWS), wait=False)
    assert len(first.under_way) == 1
    second = setup.batch(spec, articles(ROWS), wait=False)
    assert (second.submitted, second.under_way) == (0, first.under_way)
    summary = setup.batch(spec, articles(ROWS))
    assert summary.counts["done"] == ROWS - 1
    assert len(server.batches.batches) == 1
    assert server.requests.total() == 1


def test_a_batch_whose_creation_was_not_heard_of_is_found_by_its_key(
    setup: Setup, articles: Make
) -> None:
    server = setup.serve(batch=BatchBehaviour(unheard=1))
    assert setup.batch(setup.spec(server), articles(ROWS)).counts["done"] == ROWS - 1
    assert len(server.batches.batches) == 1


def test_of_two_batches_with_one_key_the_younger_is_cancelled(setup: Setup, articles: Make) -> None:
    server = setup.serve(batch=BatchBehaviour(seconds=30, unheard=1))
    setup.batch(setup.spec(server), articles(ROWS), wait=False)
    batch = server.batches.batches["batch_2"]
    server.batches.batches["batch_3"] = double = dataclasses.replace(batch, id="batch_3")
    with setup.ledger() as ledger:
        ledger.connection.execute("UPDATE batches SET state = 'uploaded', batch_id = NULL")
    again = setup.batch(setup.spec(server), articles(ROWS), wait=False)
    assert again.under_way == ("batch_2",)
    assert (batch.cancelled, double.cancelled) == (False, True)


def test_calls_do_not_ask_what_lies_in_a_batch(setup: Setup, articles: Make) -> None:
    server = setup.serve(batch=BatchBehaviour(seconds=30))
    spec = setup.spec(server)
    setup.batch(spec, articles(ROWS), wait=False)
    with pytest.raises(LabellingStopped, match="wait in a provider batch"):
        setup.label(spec)
    assert server.requests.total() == 1
    assert not setup.output.exists()


def test_another_oracle_cannot_take_the_batch_over(setup: Setup, articles: Make) -> None:
    spec = setup.spec(setup.serve(batch=BatchBehaviour(seconds=30)))
    setup.batch(spec, articles(ROWS), wait=False)
    other = setup.spec(setup.serve(), name="other")
    with pytest.raises(UserError, match="under way at oracle 'test'"):
        setup.batch(other, articles(ROWS))


def test_cancelled_batches_keep_their_answers_and_the_rest_may_go_into_another(
    setup: Setup, articles: Make
) -> None:
    server = setup.serve(batch=BatchBehaviour(seconds=1.0))
    spec = setup.spec(server)
    setup.batch(spec, articles(ROWS), wait=False)
    summary = setup.batch(spec, (), cancel=True)
    answered = summary.counts.get("answered", 0)
    assert answered + summary.counts["not_run"] == ROWS - 1
    assert summary.under_way == ()
    server.batches.behaviour = BatchBehaviour()
    again = setup.batch(spec, articles(ROWS))
    assert again.submitted == ROWS - 2 - answered
    assert setup.label(spec).states == {"done": ROWS}


def test_a_batch_cancelled_elsewhere_stops_the_run(setup: Setup, articles: Make) -> None:
    server = setup.serve(batch=BatchBehaviour(seconds=30))
    spec = setup.spec(server)
    setup.batch(spec, articles(ROWS), wait=False)
    next(iter(server.batches.batches.values())).cancelled = True
    with pytest.raises(CheckFailed, match="was cancelled"):
        setup.batch(spec, articles(ROWS))


def test_a_paid_batch_that_is_not_known_is_never_made_again(setup: Setup, articles: Make) -> None:
    server = setup.serve(batch=BatchBehaviour(seconds=30))
    spec = setup.spec(server)
    setup.batch(spec, articles(ROWS), wait=False)
    server.batches.batches.clear()
    with pytest.raises(UserError, match="not known") as caught:
        setup.batch(spec, articles(ROWS))
    assert "--cancel-batches" in (caught.value.hint or "")
    assert setup.batch(spec, (), cancel=True).counts == {"lost": ROWS - 1}
    with setup.ledger() as ledger:
        assert batches_under_way(ledger) == []
        assert money(ledger).held_usd > 0


def test_what_the_prefilter_blocks_and_twins_are_not_sent(setup: Setup, articles: Make) -> None:
    server = setup.serve()
    listed = articles(5)
    short = type(listed[0])("short", "t", "too short")
    twin = type(listed[0])("twin", listed[3].title, listed[3].content)
    summary = setup.batch(setup.spec(server), [*listed, short, twin])
    assert summary.submitted == 4


def test_an_oracle_without_batches_or_a_batch_price_is_refused(
    setup: Setup, articles: Make, spec_for: Make
) -> None:
    server = setup.serve()
    with pytest.raises(UserError, match="takes no batches"):
        setup.batch(spec_for(server), articles(3))
    with pytest.raises(UserError, match="no batch price"):
        setup.batch(spec_for(server, batch=True), articles(3))
    assert server.requests.total() == 0


def test_a_wrong_key_is_told_by_the_first_question(
    setup: Setup, articles: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "sk-canary-0001")
    server = setup.serve(key="another")
    spec = setup.spec(server, api_key_env="A_KEY")
    with pytest.raises(UserError) as caught:
        setup.batch(spec, articles(ROWS))
    assert "A_KEY" in str(caught.value.hint)
    assert "sk-canary" not in f"{caught.value} {caught.value.hint}"
    assert not server.batches.files
