"""An oracle that answers badly: mended, retried, or set aside with the reason; the rest goes on."""

from __future__ import annotations

from typing import Any

from distillery_core.oracle.faults import Fault

LABEL = ("label", "--filter", "storm", "--input", "articles.jsonl", "--output", "out.jsonl")

UNUSABLE = {
    "prose": "no JSON object in the answer: 'This article is about",
    "nan": "harm is not finite: nan",
    "string": "harm is not a number: '7'",
    "seventy": "harm is outside 0-10: 70",
    "missing": "harm is missing",
    "misspelt": "unknown key 'harms' (for harm?)",
    "empty": "the answer is empty",
    "length": "cut off even with a larger output budget",
    "refusal": "the model refused: I cannot rate this text.",
}
"""Faults of every answer about one text, and the reason that stands beside the row."""

MENDED = ("fenced", "chatty", "trailing_comma", "no_usage")
PASSING = (
    {"kind": "status", "status": 429, "retry_after_s": 0.05, "first": 2},
    {"kind": "status", "status": 500, "first": 1},
    {"kind": "hang", "first": 1},
    {"kind": "cut", "first": 1},
    {"kind": "malformed", "first": 1},
)
"""Failures that pass, so that the question is answered in the end."""

LASTING = {
    "status": "5 failures: Error code: 500",
    "hang": "5 failures: no reply within 0.4 s",
    "cut": "5 failures: the reply broke off",
    "malformed": "5 failures: the reply broke off",
}
"""Failures that last, so that the row is set aside once five calls were made."""


def faults() -> tuple[list[Fault], dict[str, str]]:
    """One text for each fault, from text 1 on; and the reason for each id that is set aside."""
    rules: list[dict[str, Any]] = [{"kind": kind} for kind in UNUSABLE]
    rules += [{"kind": kind} for kind in LASTING]
    reasons = {f"a{n:03}": r for n, r in enumerate([*UNUSABLE.values(), *LASTING.values()], 1)}
    rules += [{"kind": kind} for kind in MENDED]
    rules += PASSING
    return rules, reasons  # type: ignore[return-value]


def test_each_bad_answer_is_mended_retried_or_set_aside(kit: Any) -> None:
    rules, reasons = faults()
    with_texts = [
        Fault(**rule, texts=frozenset({kit.text_key(n)})) for n, rule in enumerate(rules, 1)
    ]
    server = kit.serve(*with_texts, concurrency=16, timeout_s=0.4)
    articles = len(rules) + 80  # enough good ones that the run is not stopped for its failures
    kit.articles(articles)
    outcome = kit.run(*LABEL, "--max-bad", "0.2")
    assert outcome.code == 0, outcome.err

    rejected = {row["id"]: row for row in kit.rows(kit.project / "out.jsonl.rejected.jsonl")}
    assert set(rejected) == set(reasons)
    for id, reason in reasons.items():
        assert reason in rejected[id]["reason"]
        assert rejected[id]["line"] == int(id[1:]) + 1
    labelled = {row["id"]: row for row in kit.rows(kit.project / "out.jsonl")}
    assert len(labelled) == articles - len(reasons)
    for id, row in labelled.items():
        number = int(id[1:])
        expected = {"harm": number % 11, "wind": 0.5, "proof": 10 - number % 11}
        assert row["storm_analysis"]["dimensions"] == expected

    # Nothing of it is asked again: rejected and failed answers are answers, until told otherwise.
    asked = server.requests.total()
    again = kit.run(*LABEL)
    assert again.code == 1
    assert f"refused: {len(reasons)} of {articles} rows were rejected" in again.err
    assert server.requests.total() == asked
