"""Answers: the schema an oracle is sent, and the strict check of what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.filters import load_filter
from distillery_core.filters.answers import AnswerInvalid, answer_schema, validate_answer
from distillery_core.filters.filter import Filter

ROOT = Path(__file__).parents[2]
CASES = yaml.safe_load((ROOT / "tests/cases/filters/answers.yaml").read_text(encoding="utf-8"))
UPLIFTING = load_filter(ROOT / "filters/uplifting/v1")


@pytest.fixture
def mood(make_filter: Callable[..., Path]) -> Filter:
    return load_filter(make_filter())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_answer(mood: Filter, case: dict[str, Any]) -> None:
    value = json.loads(case["json"])
    if "invalid" not in case:
        assert list(validate_answer(mood, value).scores.values()) == case["scores"]
        return
    with pytest.raises(AnswerInvalid) as caught:
        validate_answer(mood, value)
    assert case["invalid"] in str(caught.value)


def test_table_has_both_kinds() -> None:
    assert sum("scores" in case for case in CASES) >= 5
    assert sum("invalid" in case for case in CASES) >= 20


def test_schema_names_every_dimension_in_order(mood: Filter) -> None:
    schema = answer_schema(mood)
    assert list(schema["properties"]) == schema["required"] == ["reasoning", *mood.dimensions]
    assert schema["properties"]["joy"] == {"type": "number", "minimum": 0.0, "maximum": 10.0}
    assert schema["additionalProperties"] is False


def test_schema_without_reasoning(make_filter: Callable[..., Path]) -> None:
    folder = make_filter(("{name: recorded}", "{name: recorded, reasoning: false}"))
    assert answer_schema(load_filter(folder))["required"] == ["joy", "depth", "proof"]


@given(st.lists(st.floats(0, 10), min_size=8, max_size=8), st.text())
def test_every_sound_answer_is_taken_as_it_is(scores: list[float], reasoning: str) -> None:
    given_scores = dict(zip(UPLIFTING.dimensions, scores, strict=True))
    answer = validate_answer(UPLIFTING, {**given_scores, "reasoning": reasoning})
    assert answer.scores == given_scores
    assert answer.reasoning == reasoning


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*UPLIFTING.dimensions, "reasoning", "x"]), _json) | _json)
def test_any_other_json_is_an_answer_or_invalid_and_never_a_crash(value: Any) -> None:
    try:
        answer = validate_answer(UPLIFTING, value)
    except AnswerInvalid as error:
        assert str(error)
    else:
        assert all(0 <= score <= 10 for score in answer.scores.values())
