"""A file is labelled into a file: what is written, what is set aside, what is never asked again."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters import Filter
from distillery_core.labelling import LabelSettings, label_file
from distillery_core.labelling.run import LabellingStopped
from distillery_core.oracle.faults import Fault
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_job import open_job
from distillery_core.oracle.ledger_report import articles_asked, counts, money
from distillery_core.oracle.spec import OracleSpec

FAST = LabelSettings(backoff_s=0.001, backoff_cap_s=0.01)
Make = Callable[..., Any]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Setup:
    """Everything a labelling test needs."""

    def __init__(self, filter: Filter, project: Path, serve: Make, spec_for: Make, corpus: Make):
        self.filter, self.project = filter, project
        self.serve, self.spec_for, self.corpus = serve, spec_for, corpus
        self.output = project / "out.jsonl"

    def label(self, spec: OracleSpec, rows: int = 20, **options: Any) -> Any:
        options = {"settings": FAST, "max_bad": 0.0} | options
        source = options.pop("source", None) or self.corpus(rows)
        return label_file(
            self.filter, source, self.output, spec=spec, project=self.project, **options
        )

    def ledger(self) -> Ledger:
        return Ledger.open(self.project / ".distillery" / "ledger.sqlite")


@pytest.fixture
def setup(storm: Filter, project: Path, serve: Make, spec_for: Make, corpus: Make) -> Setup:
    return Setup(storm, project, serve, spec_for, corpus)


def test_labels_every_row_in_order_and_keeps_its_other_keys(setup: Setup) -> None:
    summary = setup.label(setup.spec_for(setup.serve()), 30)
    rows = rows_of(setup.output)
    assert [row["id"] for row in rows] == [f"a{n:03}" for n in range(30)]
    analysis = rows[7]["storm_analysis"]
    assert analysis["dimensions"] == {"harm": 7.0, "wind": 0.5}
    assert analysis["reasoning"] == "Report 7, https://example.org/7?a={1,2}"
    assert rows[7]["source"] == "wire"
    provenance = analysis["provenance"]
    assert provenance["prompt_sha256"] == setup.filter.prompt_sha256
    assert (provenance["paid"], provenance["attempts"]) == (True, 1)
    assert provenance["cost_usd"] > 0
    assert summary.states == {"done": 30}
    assert (summary.asked, summary.from_ledger) == (30, 0)
    assert summary.money.spent_usd == pytest.approx(summary.activity.cost_usd)
    assert not (setup.project / "out.jsonl.rejected.jsonl").exists()


def test_second_run_asks_nothing_and_writes_the_same_bytes(setup: Setup) -> None:
    server = setup.serve()
    setup.label(setup.spec_for(server))
    first = setup.output.read_bytes()
    summary = setup.label(setup.spec_for(server))
    assert setup.output.read_bytes() == first
    assert (summary.asked, summary.from_ledger) == (0, 20)
    assert set(server.requests.values()) == {1}


def test_recording_of_the_filter_costs_nothing_and_says_what_it_would_have(setup: Setup) -> None:
    spec = OracleSpec(
        name="recorded",
        provider="replay",
        recording="plugin",
        model="recorded",
        price_of="gemini-2.5-flash",
        paid=False,
    )
    summary = setup.label(spec)
    assert summary.money.spent_usd == 0
    assert summary.money.would_have_cost_usd > 0
    assert "nothing was paid" in summary.money_line()


def test_twins_are_asked_once(setup: Setup, tmp_path: Path) -> None:
    source = tmp_path / "twins.jsonl"
    row = {"title": "Storm 1", "content": "Storm number 1 hit the coast."}
    source.write_text("\n".join(json.dumps({"id": f"t{n}", **row}) for n in range(6)))
    server = setup.serve()
    summary = setup.label(setup.spec_for(server), source=source)
    assert summary.states == {"done": 6}
    assert server.requests.total() == 1


ANSWER_FAULTS = ["prose", "nan", "string", "seventy", "missing", "misspelt", "empty"]


@pytest.mark.parametrize("kind", ANSWER_FAULTS)
def test_unusable_answer_is_repaired_once(setup: Setup, text_key: Make, kind: str) -> None:
    server = setup.serve(Fault(kind, texts=frozenset({text_key(3)}), first=1))  # type: ignore[arg-type]
    summary = setup.label(setup.spec_for(server), 8)
    assert summary.states == {"done": 8}
    assert server.requests[text_key(3)] == 2


@pytest.mark.parametrize("kind", [*ANSWER_FAULTS, "length"])
def test_answer_that_stays_unusable_is_set_aside_with_line_and_reason(
    setup: Setup, text_key: Make, kind: str
) -> None:
    server = setup.serve(Fault(kind, texts=frozenset({text_key(3)})))  # type: ignore[arg-type]
    with pytest.raises(CheckFailed, match="1 of 8 rows were rejected"):
        setup.label(setup.spec_for(server), 8)
    assert len(rows_of(setup.output)) == 7
    (reject,) = rows_of(setup.project / "out.jsonl.rejected.jsonl")
    assert (reject["line"], reject["id"], reject["kind"]) == (4, "a003", "answer_rejected")
    assert server.requests[text_key(3)] == 2
    setup.label(setup.spec_for(server), 8, max_bad=1.0)
    assert server.requests[text_key(3)] == 2, "a rejected article is not asked again"
    retry = LabelSettings(backoff_s=0.001, retry_failed=True)
    setup.label(setup.spec_for(server), 8, max_bad=1.0, settings=retry)
    assert server.requests[text_key(3)] == 4, "unless it is wished"


@pytest.mark.parametrize("kind", ["fenced", "chatty", "trailing_comma"])
def test_dressed_up_answers_just_work(setup: Setup, kind: str) -> None:
    server = setup.serve(Fault(kind))  # type: ignore[arg-type]
    summary = setup.label(setup.spec_for(server), 5)
    assert summary.states == {"done": 5}
    assert server.requests.total() == 5


def test_answer_cut_off_gets_a_larger_budget_once(setup: Setup, text_key: Make) -> None:
    server = setup.serve(Fault("length", texts=frozenset({text_key(2)}), first=1))
    assert setup.label(setup.spec_for(server), 5).states == {"done": 5}
    with setup.ledger() as ledger:
        steps = ledger.connection.execute("SELECT step, reserved_nano FROM attempts").fetchall()
    longer = [row["reserved_nano"] for row in steps if row["step"] == "longer"]
    assert len(longer) == 1
    assert longer[0] > max(row["reserved_nano"] for row in steps if row["step"] == "ask")


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=429, first=1, share=0.3, retry_after_s=0.01),
        Fault("status", status=500, first=1, share=0.3),
        Fault("cut", first=1, share=0.3),
        Fault("malformed", first=1, share=0.3),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_transient_failures_are_retried(setup: Setup, fault: Fault) -> None:
    server = setup.serve(fault, seed=3)
    summary = setup.label(setup.spec_for(server), 30)
    assert summary.states == {"done": 30}
    assert summary.activity.failed == server.requests.total() - 30 > 0


def test_hang_is_cut_off_and_held_against_the_budget(setup: Setup, text_key: Make) -> None:
    server = setup.serve(Fault("hang", texts=frozenset({text_key(1)}), first=1))
    summary = setup.label(setup.spec_for(server, timeout_s=0.4), 5)
    assert summary.states == {"done": 5}
    assert summary.money.held_usd > 0, "the provider may have worked and charged"


def test_article_that_always_fails_ends_as_failed_and_stays_so(
    setup: Setup, text_key: Make
) -> None:
    server = setup.serve(Fault("status", status=500, texts=frozenset({text_key(4)})))
    settings = LabelSettings(backoff_s=0.001, max_attempts=3)
    for _ in range(3):
        summary = setup.label(setup.spec_for(server), 10, settings=settings, max_bad=1.0)
    assert summary.states == {"done": 9, "failed": 1}
    assert server.requests[text_key(4)] == 3


def test_refusal_and_unrecorded_text_are_rows_failures(setup: Setup, text_key: Make) -> None:
    server = setup.serve(Fault("refusal", texts=frozenset({text_key(2)})))
    summary = setup.label(setup.spec_for(server), 203, max_bad=1.0)
    assert summary.states == {"done": 199, "failed": 4}
    reasons = {r["id"]: r["reason"] for r in rows_of(setup.project / "out.jsonl.rejected.jsonl")}
    assert "refused" in reasons["a002"]
    assert "no answer was recorded" in reasons["a200"]


def test_unrecorded_first_article_does_not_cost_the_json_schema(
    setup: Setup, tmp_path: Path
) -> None:
    source = tmp_path / "unknown-first.jsonl"
    known = [json.loads(line) for line in setup.corpus(5).read_text().splitlines()]
    unknown = {"id": "x", "title": "", "content": "Nobody recorded this text."}
    source.write_text("\n".join(json.dumps(row) for row in [unknown, *known]))
    summary = setup.label(setup.spec_for(setup.serve()), source=source, max_bad=1.0)
    assert summary.states == {"failed": 1, "done": 5}
    with setup.ledger() as ledger:
        formats = ledger.connection.execute(
            "SELECT DISTINCT answer_format FROM attempts WHERE state = 'answered'"
        ).fetchall()
    assert [row[0] for row in formats] == ["json_schema"]


@pytest.mark.parametrize(
    ("refused", "held"),
    [(["json_schema"], "json_object"), (["json_schema", "json_object"], "text")],
)
@pytest.mark.parametrize("status", [400, 422, 500])
def test_ladder_goes_down_and_is_remembered(
    setup: Setup, refused: list[str], held: str, status: int
) -> None:
    message = "1 validation error: ('body', 'response_format', 'type') should be 'text'"
    rules = [
        Fault("status", status=status, answer_format=name, message=message) for name in refused
    ]
    server = setup.serve(*rules)
    summary = setup.label(setup.spec_for(server), 10)
    assert summary.states == {"done": 10}
    assert server.requests.total() == 10 + len(refused)
    with setup.ledger() as ledger:
        used = ledger.connection.execute(
            "SELECT DISTINCT answer_format FROM attempts WHERE state = 'answered'"
        ).fetchall()
    assert [row[0] for row in used] == [held]


def test_blocked_rows_are_skipped_with_their_reason(setup: Setup, tmp_path: Path) -> None:
    source = tmp_path / "short.jsonl"
    rows = [json.loads(line) for line in setup.corpus(3).read_text().splitlines()]
    source.write_text("\n".join(map(json.dumps, [*rows, {"id": "s", "content": "tiny"}])))
    server = setup.serve()
    summary = setup.label(setup.spec_for(server), source=source)
    assert summary.states == {"done": 3, "skipped": 1}
    (skipped,) = rows_of(setup.project / "out.jsonl.skipped.jsonl")
    assert (skipped["line"], skipped["id"]) == (4, "s")
    assert "too short" in skipped["reason"]
    with setup.ledger() as ledger:
        assert counts(ledger, "storm:v1") == {"done": 3, "skipped": 1}


def test_bad_rows_of_the_input_are_set_aside(setup: Setup, tmp_path: Path) -> None:
    source = tmp_path / "bad.jsonl"
    good = setup.corpus(3).read_text()
    source.write_text(good + "{broken\n" + good.splitlines()[0] + "\n")
    summary = setup.label(setup.spec_for(setup.serve()), source=source, max_bad=1.0)
    assert summary.states == {"done": 3}
    kinds = [row["kind"] for row in rows_of(setup.project / "out.jsonl.rejected.jsonl")]
    assert kinds == ["bad_json", "duplicate_id"]


# Refused before anything starts: exit 2, one line, nothing half-written.


def nothing_written(setup: Setup) -> bool:
    return not list(setup.project.glob("*.jsonl*")) and not list(setup.project.glob(".out*"))


def test_oracle_that_is_down(setup: Setup) -> None:
    server = setup.serve()
    dead = setup.spec_for(server, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(UserError, match="nobody answers at"):
        setup.label(dead)
    assert nothing_written(setup)
    for _ in range(6):
        with pytest.raises(UserError):
            setup.label(dead)
    assert setup.label(setup.spec_for(server)).states == {"done": 20}, "that is no article's fault"


def test_wrong_key(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    server = setup.serve(key="the-right-key")
    spec = setup.spec_for(server, api_key_env="STORM_KEY")
    with pytest.raises(UserError, match="STORM_KEY is not set"):
        setup.label(spec, environ={})
    with pytest.raises(UserError, match=r"HTTP 401.*\n.*STORM_KEY"):
        setup.label(spec, environ={"STORM_KEY": "a-wrong-key-1234"})
    assert nothing_written(setup)
    right = {"STORM_KEY": "the-right-key"}
    assert setup.label(spec, environ=right).states == {"done": 20}


def test_no_balance(setup: Setup) -> None:
    message = "You exceeded your current quota (insufficient_quota)"
    server = setup.serve(Fault("status", status=429, message=message))
    with pytest.raises(UserError, match="no balance"):
        setup.label(setup.spec_for(server))
    assert server.requests.total() == 1


def test_another_prompt_names_both_hashes(setup: Setup) -> None:
    server = setup.serve()
    changed = setup.filter.model_copy(
        update={"prompt_template": setup.filter.prompt_template.replace("Score", "Rate")}
    )
    changed.__dict__.pop("prompt_sha256", None)
    setup_changed = Setup(changed, setup.project, setup.serve, setup.spec_for, setup.corpus)
    with pytest.raises(UserError) as caught:
        setup_changed.label(setup.spec_for(server))
    assert setup.filter.prompt_sha256 in str(caught.value)
    assert changed.prompt_sha256 in str(caught.value)
    assert changed.prompt_sha256 != setup.filter.prompt_sha256


def test_unknown_price(setup: Setup) -> None:
    server = setup.serve()
    with pytest.raises(UserError, match="no price is known for 'm'"):
        setup.label(setup.spec_for(server, price=None))
    assert server.requests.total() == 0
    assert setup.label(setup.spec_for(server, price=None, free=True)).money.spent_usd == 0


def test_unwritable_output(setup: Setup) -> None:
    server = setup.serve()
    setup.output.mkdir()
    with pytest.raises(UserError, match="is a folder"):
        setup.label(setup.spec_for(server))
    setup.output.rmdir()
    (setup.project / "file").write_text("")
    setup.output = setup.project / "file" / "out.jsonl"
    with pytest.raises(UserError, match="cannot be written"):
        setup.label(setup.spec_for(server))
    assert server.requests.total() == 0


@pytest.mark.parametrize("text", ["", "\n\n", "{broken\n"])
def test_no_usable_row(setup: Setup, tmp_path: Path, text: str) -> None:
    source = tmp_path / "empty.jsonl"
    source.write_text(text)
    with pytest.raises(UserError, match="no usable row"):
        setup.label(setup.spec_for(setup.serve()), source=source)
    assert nothing_written(setup)


def test_second_writer_is_refused(setup: Setup) -> None:
    server = setup.serve()
    with (
        setup.ledger() as ledger,
        open_job(ledger, "storm:v1", oracle="o", purpose="batch", paid=True),
        pytest.raises(UserError, match=r"another run is asking for storm:v1 \(process"),
    ):
        setup.label(setup.spec_for(server))
    assert setup.label(setup.spec_for(server)).states == {"done": 20}


# Stop rules.


def test_budget_holds_over_runs_and_a_higher_one_goes_on(setup: Setup) -> None:
    server = setup.serve()
    spec = setup.spec_for(server)
    for _ in range(4):
        with pytest.raises(LabellingStopped, match=r"the budget of \$0.0010 is used up"):
            setup.label(spec, 30, settings=LabelSettings(budget_usd=0.001))
    with setup.ledger() as ledger:
        shown = money(ledger, "storm:v1")
    assert 0 < shown.spent_usd <= 0.001
    assert shown.held_usd == 0
    asked = server.requests.total()
    assert 1 <= asked < 30
    assert nothing_written(setup)
    summary = setup.label(spec, 30, settings=LabelSettings(budget_usd=1.0))
    assert server.requests.total() == 30
    assert (summary.states, summary.from_ledger) == ({"done": 30}, asked)


def test_budget_counts_other_prompts_of_the_filter(setup: Setup) -> None:
    server = setup.serve()
    setup.label(setup.spec_for(server), 10)
    spec = setup.spec_for(server, extra_body={"seed": 1})
    with pytest.raises(LabellingStopped, match="used up"):
        setup.label(spec, 10, settings=LabelSettings(budget_usd=0.0008))
    assert server.requests.total() < 20


def test_failure_rate_stops_and_the_same_command_goes_on(setup: Setup) -> None:
    server = setup.serve(Fault("status", status=500, positions=frozenset(range(5, 400))))
    settings = LabelSettings(backoff_s=0.001, failure_window=20, max_attempts=100)
    with pytest.raises(LabellingStopped, match="of the last 20 calls brought no usable answer"):
        setup.label(setup.spec_for(server), 60, settings=settings)
    assert server.requests.total() < 60
    assert nothing_written(setup)
    assert setup.label(setup.spec_for(setup.serve()), 60).states == {"done": 60}


def test_oracle_that_answers_only_prose_stops_early(setup: Setup) -> None:
    server = setup.serve(Fault("prose"))
    settings = LabelSettings(failure_window=10)
    with pytest.raises(LabellingStopped, match="no JSON object"):
        setup.label(setup.spec_for(server), 150, settings=settings)
    assert server.requests.total() < 60


def test_dead_oracle_is_seen_after_three_articles(setup: Setup) -> None:
    server = setup.serve(Fault("status", status=503))
    settings = LabelSettings(backoff_s=0.001, max_attempts=2)
    with pytest.raises(LabellingStopped, match="3 articles failed and none was answered"):
        setup.label(setup.spec_for(server), 50, settings=settings)
    assert server.requests.total() == 6


def test_long_pause_stops_instead_of_sleeping(setup: Setup) -> None:
    server = setup.serve(Fault("status", status=429, retry_after_s=86400))
    with pytest.raises(LabellingStopped, match="asks to wait 86400 s"):
        setup.label(setup.spec_for(server))
    assert server.requests.total() == 1


def test_nothing_but_refusals_stops_the_run(setup: Setup) -> None:
    server = setup.serve(Fault("status", status=429, positions=frozenset(range(3, 9999))))
    settings = LabelSettings(backoff_s=0.001, no_progress_calls=50, max_overloads=1000)
    with pytest.raises(LabellingStopped, match="no usable answer among the last 50 calls") as stop:
        setup.label(setup.spec_for(server), 60, settings=settings)
    assert "concurrency" in str(stop.value)
    assert server.requests.total() < 70
    assert setup.label(setup.spec_for(setup.serve()), 60).states == {"done": 60}


def test_another_model_behind_the_name_stops_until_it_is_accepted(setup: Setup) -> None:
    setup.label(setup.spec_for(setup.serve()), 5)
    server = setup.serve(Fault("other_model", positions=frozenset(range(8, 999))))
    spec = setup.spec_for(server)
    for _ in range(2):
        with pytest.raises(LabellingStopped, match="'recorded-model-next' now") as stop:
            setup.label(spec, 150)
        assert "--accept-fingerprint" in str(stop.value)
    assert server.requests.total() < 60
    accepting = LabelSettings(backoff_s=0.001, accept_fingerprint=True)
    assert setup.label(spec, 150, settings=accepting).states == {"done": 150}
    assert setup.label(spec, 150).asked == 0


def test_a_flip_between_back_ends_does_not_stop(setup: Setup) -> None:
    server = setup.serve(Fault("other_fingerprint", share=0.5), seed=5)
    assert setup.label(setup.spec_for(server), 100).states == {"done": 100}


def test_connections_are_used_again(setup: Setup) -> None:
    server = setup.serve(latency_s=0.005)
    setup.label(setup.spec_for(server, concurrency=8), 150)
    assert 1 <= len(server.connections) <= 8


def test_cached_tokens_are_noted_and_cheaper(setup: Setup) -> None:
    plain = setup.label(setup.spec_for(setup.serve()), 10).activity
    half = setup.label(setup.spec_for(setup.serve(Fault("half_cached"))), 10).activity
    assert half.input_tokens == plain.input_tokens
    assert half.cached_tokens == pytest.approx(half.input_tokens / 2, rel=0.01)
    saved = half.cached_tokens * (1.0 - 0.5) / 1e6  # input 1.00, cached 0.50 USD per million
    assert plain.cost_usd - half.cost_usd == pytest.approx(saved, rel=0.001)


def test_sample_articles_are_counted_by_text(setup: Setup) -> None:
    spec = setup.spec_for(setup.serve())
    setup.label(spec, 7, settings=LabelSettings(purpose="sample"))
    setup.label(spec, 12)
    with setup.ledger() as ledger:
        assert len(articles_asked(ledger, "storm:v1")) == 7


def test_full_disk_stops_with_the_last_good_state_kept(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    server = setup.serve()
    setup.label(setup.spec_for(server), 5)
    before = setup.output.read_bytes()
    with setup.ledger() as ledger:
        ledger.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = ledger.connection.execute("PRAGMA page_count").fetchone()[0]
    original = sqlite3.connect

    def small(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = original(*args, **options)
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(UserError, match="disk is full"):
        setup.label(setup.spec_for(server), 150)
    monkeypatch.undo()
    assert setup.output.read_bytes() == before
    summary = setup.label(setup.spec_for(server), 150)
    assert summary.states == {"done": 150}
    assert summary.from_ledger >= 5


def test_key_is_nowhere(setup: Setup) -> None:
    """Whatever a server does with the key, no file of the project and no error holds it."""
    canary = "sk-canary-0815-never-show"
    spec_options = {"api_key_env": "CANARY_KEY"}
    environ = {"CANARY_KEY": canary}
    errors = []
    for server in (
        setup.serve(Fault("echo_key", share=0.5), key=canary),
        setup.serve(Fault("status", status=500, share=0.4, message=f"bad key {canary}")),
        setup.serve(key="another"),
    ):
        spec = setup.spec_for(server, **spec_options)
        try:
            setup.label(spec, 30, environ=environ, max_bad=1.0)
        except (UserError, CheckFailed) as error:
            errors.append(f"{error!r} {error} {error.__cause__!r} {error.__context__!r}")
    assert errors
    assert canary not in "".join(errors)
    files = [path for path in setup.project.rglob("*") if path.is_file()]
    assert any(path.name == "ledger.sqlite" for path in files)
    leaks = [path for path in files if canary.encode() in path.read_bytes()]
    assert not leaks


def test_answers_without_token_counts_stay_held_at_their_worst(setup: Setup) -> None:
    summary = setup.label(setup.spec_for(setup.serve(Fault("no_usage"))), 5)
    assert summary.states == {"done": 5}
    assert summary.money.spent_usd == 0
    assert summary.money.held_usd > 0


def test_progress_shows_count_and_cost(setup: Setup) -> None:
    shown: list[tuple[int, int | None, str]] = []

    def progress(done: int, total: int | None, note: str = "") -> None:
        shown.append((done, total, note))

    setup.label(setup.spec_for(setup.serve()), 5, progress=progress)
    assert [done for done, _, _ in shown] == [1, 2, 3, 4, 5]
    assert shown[-1][2].startswith("$0.000")


@pytest.mark.parametrize("frozen", [False, True])
def test_the_garbage_collector_is_left_as_it_was(setup: Setup, frozen: bool) -> None:
    seen: list[int] = []
    if frozen:
        gc.freeze()
    try:
        setup.label(
            setup.spec_for(setup.serve()), progress=lambda *_: seen.append(gc.get_freeze_count())
        )
        assert min(seen) > 0, "what was there before the run is not looked through in it"
        assert (gc.get_freeze_count() > 0) == frozen
    finally:
        gc.unfreeze()
