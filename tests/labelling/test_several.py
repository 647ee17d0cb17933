"""Several answers an article become one label: what is asked, kept, combined and told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from distillery_core.errors import CheckFailed
from distillery_core.filters import Filter
from distillery_core.labelling import LabelSettings, label_file
from distillery_core.labelling.run import LabellingStopped
from distillery_core.labelling.several import label_several, passes_of
from distillery_core.oracle.faults import Fault
from distillery_core.oracle.ledger import ItemKey, Ledger
from distillery_core.oracle.ledger_report import export_items, money

FAST = LabelSettings(backoff_s=0.001, backoff_cap_s=0.01)
Make = Callable[..., Any]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Setup:
    """Labels with several answers."""

    def __init__(self, filter: Filter, project: Path, corpus: Make) -> None:
        self.filter, self.project, self.corpus = filter, project, corpus
        self.output = project / "out.jsonl"

    def label(self, specs: list[Any], repeats: int = 1, rows: int = 12, **options: Any) -> Any:
        options = {"settings": FAST, "max_bad": 0.0, "aggregate": "median"} | options
        source = options.pop("source", None) or self.corpus(rows)
        passes = passes_of(specs, repeats)
        return label_several(
            self.filter, source, self.output, passes=passes, project=self.project, **options
        )

    def ledger(self) -> Ledger:
        return Ledger.open(self.project / ".distillery" / "ledger.sqlite")

    def analyses(self) -> list[dict[str, Any]]:
        return [row["storm_analysis"] for row in rows_of(self.output)]


@pytest.fixture
def setup(storm: Filter, project: Path, corpus: Make) -> Setup:
    return Setup(storm, project, corpus)


def test_a_first_answer_has_the_key_it_always_had() -> None:
    key = ItemKey("a", "b", "c", "d")
    assert key.digest == "bb037af03d977ec8488207ae0d6362cf88fe3c93e1459b8435a47d04168549af"
    again = {replace(key, occasion=name).digest for name in ("", "repeat 2", "canary 2")}
    assert len(again) == 3
    assert key.digest in again


def test_repeats_are_asked_apart_and_combined(
    setup: Setup, serve_noisy: Make, spec_for: Make
) -> None:
    server = serve_noisy(noise=(-1.0, 0.0, 1.0))
    summary = setup.label([spec_for(server)], repeats=3)
    assert set(server.requests.values()) == {3}
    assert (summary.states, summary.asked, summary.from_ledger) == ({"done": 12}, 36, 0)
    assert summary.activity.attempts == 36
    for analysis in setup.analyses():
        provenance = analysis["provenance"]
        answers = provenance["answers"]
        assert [one["repeat"] for one in answers] == [1, 2, 3]
        for name, score in analysis["dimensions"].items():
            assert score == median(one["scores"][name] for one in answers)
        assert (provenance["aggregate"], provenance["asked"]) == ("median", 3)
        assert provenance["cost_usd"] == pytest.approx(sum(one["cost_usd"] for one in answers))
    fifth = setup.analyses()[5]["provenance"]["answers"]
    assert len({one["scores"]["harm"] for one in fifth}) > 1


def test_a_first_answer_that_is_there_is_not_asked_again(
    setup: Setup, serve: Make, spec_for: Make
) -> None:
    server = serve()
    spec = spec_for(server)
    label_file(
        setup.filter, setup.corpus(12), setup.project / "single.jsonl",
        spec=spec, project=setup.project, settings=FAST,
    )  # fmt: skip
    summary = setup.label([spec], repeats=2)
    assert (summary.asked, summary.from_ledger) == (12, 12)
    assert set(server.requests.values()) == {2}
    again = setup.label([spec], repeats=2)
    assert (again.asked, again.from_ledger) == (0, 24)


def test_two_oracles_each_stand_in_the_provenance(
    setup: Setup, serve_noisy: Make, spec_for: Make
) -> None:
    low, high = serve_noisy(), serve_noisy(offset=2.0)
    specs = [spec_for(low, name="low"), spec_for(high, name="high", model="other")]
    setup.label(specs, aggregate="mean")
    analysis = setup.analyses()[4]
    assert analysis["dimensions"] == {"harm": 5.0, "wind": 1.5}
    provenance = analysis["provenance"]
    assert (provenance["oracle"], provenance["model"]) == ("low + high", "m + other")
    assert [one["scores"]["harm"] for one in provenance["answers"]] == [4.0, 6.0]


def test_a_majority_has_to_be_valid(
    setup: Setup, serve: Make, spec_for: Make, text_key: Make
) -> None:
    spoiled = [serve(Fault("nan", texts=frozenset({text_key(n)}))) for n in (3, 3)]
    fine = serve()
    two = [spec_for(spoiled[0], name="a"), spec_for(fine, name="b")]
    setup.label(two, max_bad=1.0)
    rejected = rows_of(setup.project / "out.jsonl.rejected.jsonl")
    assert [row["id"] for row in rejected] == ["a003"]
    assert rejected[0]["kind"] == "answer_rejected"
    assert "1 of 2 answers are valid; a: " in rejected[0]["reason"]
    assert len(setup.analyses()) == 11
    three = [*two, spec_for(fine, name="c", model="third")]
    setup.label(three, max_bad=0.0)
    at_three = setup.analyses()[3]
    assert at_three["dimensions"]["harm"] == 3.0
    assert [one["oracle"] for one in at_three["provenance"]["answers"]] == ["b", "c"]


def test_too_many_without_a_majority_is_told_by_the_exit(
    setup: Setup, serve: Make, spec_for: Make, text_key: Make
) -> None:
    server = serve(Fault("nan", texts=frozenset({text_key(3)})))
    with pytest.raises(CheckFailed, match="1 of 12 rows"):
        setup.label([spec_for(server)], repeats=2)
    assert len(setup.analyses()) == 11


def test_bad_rows_and_blocked_articles_are_set_aside_once(
    setup: Setup, serve: Make, spec_for: Make, tmp_path: Path
) -> None:
    source = tmp_path / "mixed.jsonl"
    good = setup.corpus(3).read_text(encoding="utf-8").splitlines()
    short = '{"id": "short", "title": "t", "content": "tiny"}'
    source.write_text("\n".join([good[0], "no json", short, *good[1:]]), encoding="utf-8")
    summary = setup.label([spec_for(serve())], repeats=2, source=source, max_bad=0.5)
    assert summary.states == {"done": 3, "skipped": 1}
    assert [row["line"] for row in rows_of(setup.project / "out.jsonl.rejected.jsonl")] == [2]
    assert [row["id"] for row in rows_of(setup.project / "out.jsonl.skipped.jsonl")] == ["short"]
    assert not list(setup.project.glob(".out.jsonl*"))


def test_the_budget_holds_over_all_answers_and_nothing_is_lost(
    setup: Setup, serve: Make, spec_for: Make
) -> None:
    server = serve()
    spec = spec_for(server, concurrency=1)
    setup.label([spec], repeats=1)
    with setup.ledger() as ledger:
        spent = money(ledger, setup.filter.label).spent_usd
    with pytest.raises(LabellingStopped, match="budget"):
        setup.label([spec], repeats=3, settings=replace(FAST, budget_usd=spent * 2.2))
    before = server.requests.total()
    assert 12 < before < 36
    setup.label([spec], repeats=3)
    assert server.requests.total() == 36
    with setup.ledger() as ledger:
        occasions = [item["occasion"] for item in export_items(ledger)]
    assert {name: occasions.count(name) for name in set(occasions)} == {
        "": 12, "repeat 2": 12, "repeat 3": 12,
    }  # fmt: skip


def test_the_same_bytes_however_it_was_interrupted(
    setup: Setup, serve_noisy: Make, spec_for: Make
) -> None:
    spec = spec_for(serve_noisy(noise=(-1.0, 0.0, 1.0)))
    setup.label([spec], repeats=2)
    first = setup.output.read_bytes()
    (setup.project / ".out.jsonl.answers").mkdir()
    (setup.project / ".out.jsonl.answers" / "0.jsonl").write_text("half a ro", encoding="utf-8")
    setup.label([spec], repeats=2)
    assert setup.output.read_bytes() == first
