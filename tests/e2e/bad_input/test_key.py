"""The key never gets out: not into an output, the ledger, the console, or an error."""

from __future__ import annotations

from typing import Any

import pytest

from distillery_core.oracle.faults import Fault

CANARY = "sk-canary-7f3a9d51c0"
LABEL = ("label", "--filter", "storm", "--input", "articles.jsonl", "--output", "out.jsonl")


def assert_nowhere(kit: Any, *outcomes: Any) -> None:
    for outcome in outcomes:
        assert CANARY not in outcome.out + outcome.err
    for name, content in kit.snapshot().items():
        assert CANARY.encode() not in content, name


def test_a_server_that_repeats_the_key(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In answers, in errors of a row, and in the error that ends the run."""
    monkeypatch.setenv("ORACLE_KEY", CANARY)
    kit.articles(12)
    said = {"kind": "status", "message": f"the key {CANARY} is over its limit"}
    rules = [{"kind": "echo_key"}, said | {"status": 500, "first": 2}, said | {"status": 400}]
    kit.serve(
        *(Fault(**rule, texts=frozenset({kit.text_key(n)})) for n, rule in enumerate(rules)),
        key=CANARY,
        api_key_env="ORACLE_KEY",
    )
    labelled = kit.run(*LABEL, "--max-bad", "0.5")
    assert labelled.code == 0, labelled.err
    reasons = [row["reason"] for row in kit.rows(kit.project / "out.jsonl.rejected.jsonl")]
    assert len(reasons) == 2
    assert all("[key]" in reason for reason in reasons), "the server did repeat it"
    kit.serve(Fault(**said, status=403), key=CANARY, api_key_env="ORACLE_KEY")
    refused = kit.run(*LABEL)
    assert refused.code == 2
    assert "the key [key] is over its limit" in refused.err
    others = [
        kit.run("ledger", "export", "--output", "export.jsonl"),
        kit.run("ledger", "show", "--json"),
        kit.run("status", "--json"),
        kit.run("doctor"),
    ]
    assert_nowhere(kit, labelled, refused, *others)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"api_key_env": CANARY}, "names an environment variable"),
        ({"api_key": CANARY}, "unknown key, did you mean 'api_key_env'?"),
        ({"base_url": f"https://user:{CANARY}@oracle.example/v1"}, "holds a key or password"),
        ({"base_url": f"https://oracle.example/v1?key={CANARY}"}, "holds a key or password"),
    ],
)
def test_a_key_in_oracles_yaml_is_refused_unread(
    kit: Any, settings: dict[str, str], words: str
) -> None:
    kit.articles(3)
    kit.oracle(**({"base_url": "https://oracle.example/v1"} | settings))
    refused = kit.run(*LABEL)
    assert refused.code == 2
    assert words in refused.err
    assert CANARY not in refused.err + kit.run("doctor").out
