"""Raw answers: found tolerantly, judged strictly (cases in tests/cases/answers.yaml)."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distillery_core.filters import Filter
from distillery_core.filters.answers import AnswerInvalid
from distillery_core.labelling.parsing import check_for, find_object, parse_answer
from distillery_core.oracle.steps import AnswerRejected

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "answers.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(storm: Filter, case: dict[str, Any]) -> None:
    if "why" in case:
        with pytest.raises(AnswerInvalid, match=case["why"]):
            parse_answer(storm, case["raw"])
        return
    answer = parse_answer(storm, case["raw"])
    assert list(answer.scores.values()) == case["scores"]
    if "reasoning" in case:
        assert answer.reasoning == case["reasoning"]


def test_checked_answer_is_plain_json(storm: Filter) -> None:
    checked = check_for(storm, '{"harm": 1, "wind": 2}')
    assert json.loads(json.dumps(checked)) == checked
    with pytest.raises(AnswerRejected, match="no JSON object"):
        check_for(storm, "no")


def test_an_endless_integer_is_an_answer_that_cannot_be_used(storm: Filter) -> None:
    with pytest.raises(AnswerRejected, match="no JSON object"):
        check_for(storm, f'{{"harm": {"1" * 5000}, "wind": 2}}')


def test_half_a_surrogate_pair_can_be_stored(storm: Filter) -> None:
    raw = r'{"reasoning": "a cut \ud83d, a whole \ud83d\ude00", "harm": 1, "wind": 2}'
    assert check_for(storm, raw)["reasoning"] == "a cut ?, a whole \U0001f600"


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(),
    before=st.text(alphabet=st.characters(exclude_characters="{}`<")),
    after=st.text(alphabet=st.characters(exclude_characters="{}`")),
)
def test_a_sound_answer_survives_any_prose_around_it(text: str, before: str, after: str) -> None:
    value = {"reasoning": text, "harm": 1, "wind": 2.5}
    assert find_object(f"{before}{json.dumps(value)}{after}") == value


@settings(max_examples=200)
@given(st.text(alphabet='{}[]",:\\ntrue1 `json<think>'))
def test_any_text_is_an_object_or_a_rejection(raw: str) -> None:
    with contextlib.suppress(AnswerInvalid):
        assert isinstance(find_object(raw), dict)


@pytest.mark.skipif("DISTILLERY_DATA" not in os.environ, reason="DISTILLERY_DATA is not set")
def test_raw_answers_of_small_local_models() -> None:
    folder = Path(os.environ["DISTILLERY_DATA"]) / "recorded_local_oracle"
    answers = json.loads((folder / "probe_1.5b_none.json").read_text(encoding="utf-8"))
    found = [find_object(answer["raw"]) for answer in answers]
    assert [list(value.values()) for value in found] == [
        list(answer["scores"].values()) for answer in answers
    ]
