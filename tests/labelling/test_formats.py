"""The ladder of answer formats against servers that refuse each rung, in their own words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.filters import Filter
from distillery_core.labelling import label_file
from distillery_core.oracle.client import OracleFailure
from distillery_core.oracle.faults import Fault
from distillery_core.oracle.ladder import FormatLadder
from distillery_core.oracle.ledger import Ledger

Make = Callable[..., Any]

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "oracle" / "refused_formats.yaml").read_text("utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_each_rung_is_refused_once_and_the_next_one_kept(
    storm: Filter, project: Path, serve: Make, spec_for: Make, corpus: Make, case: dict[str, Any]
) -> None:
    rules = [
        Fault("status", status=case["status"], answer_format=name, message=case["message"])
        for name in case["refuses"]
    ]
    server = serve(*rules)
    summary = label_file(storm, corpus(6), project / "o.jsonl", spec=spec_for(server),
                         project=project)  # fmt: skip
    assert summary.states == {"done": 6}
    assert server.requests.total() == 6 + len(rules)
    with Ledger.open(project / ".distillery" / "ledger.sqlite") as ledger:
        attempts = ledger.connection.execute(
            "SELECT answer_format, state, failure_kind, failure_message FROM attempts ORDER BY id"
        ).fetchall()
    refused = attempts[: len(rules)]
    assert [row["answer_format"] for row in refused] == case["refuses"]
    assert {row["failure_kind"] for row in refused} == {"format"}
    assert all(case["message"][:40] in row["failure_message"] for row in refused)
    assert {row["answer_format"] for row in attempts[len(rules) :]} == {case["held"]}


@pytest.mark.skipif("DISTILLERY_DATA" not in os.environ, reason="DISTILLERY_DATA is not set")
def test_recorded_refusal_of_a_local_server() -> None:
    folder = Path(os.environ["DISTILLERY_DATA"]) / "recorded_local_oracle"
    for answer in json.loads((folder / "probe_1.5b_schema.json").read_text(encoding="utf-8")):
        ladder = FormatLadder("json_schema")
        ladder.held("text")
        failure = OracleFailure("transient", answer["raw"], status=500)
        assert ladder.refused("json_schema", failure)
        assert ladder.current == "json_object"
