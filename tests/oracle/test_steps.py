"""What follows from a question's attempts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.oracle.ledger import Ending, Past
from distillery_core.oracle.steps import AnswerRejected, Next, decide


def check(raw: str) -> dict[str, Any]:
    if not raw.startswith("{"):
        raise AnswerRejected("no object")
    return dict(json.loads(raw))


def answered(raw: str, step: str = "ask", finish: str = "stop") -> Past:
    return Past("answered", step, raw, finish)  # type: ignore[arg-type]


def failed(kind: str = "transient") -> Past:
    return Past("failed", "ask", failure_kind=kind, failure_message="boom")


def after(*history: Past) -> Next | Ending:
    return decide(history, check, max_attempts=3, max_overloads=5)


def ending(*history: Past) -> Ending:
    result = after(*history)
    assert isinstance(result, Ending)
    return result


def test_new_question_is_asked() -> None:
    assert after() == Next("ask")


def test_good_answer_ends_it_even_when_cut_behind_the_object() -> None:
    assert ending(answered('{"a": 1}')).answer == {"a": 1}
    assert ending(answered('{"a": 1}', finish="length")).state == "done"


def test_cut_answer_is_asked_for_longer_once() -> None:
    cut = answered("half", finish="length")
    assert after(cut) == Next("longer", longer=True)
    assert ending(cut, answered("half", "longer", "length")).state == "rejected"


def test_bad_answer_is_repaired_once() -> None:
    following = after(answered("prose"))
    assert isinstance(following, Next)
    assert (following.step, following.longer) == ("repair", False)
    assert following.follow_up is not None
    assert following.follow_up[0] == "prose"
    assert "no object" in following.follow_up[1]
    end = ending(answered("prose"), answered("prose again", "repair"))
    assert (end.state, "after a repair" in (end.reason or "")) == ("rejected", True)


def test_repair_after_longer_keeps_the_larger_budget() -> None:
    following = after(answered("half", finish="length"), answered("prose", "longer"))
    assert isinstance(following, Next)
    assert (following.step, following.longer) == ("repair", True)


def test_failures_are_retried_up_to_the_limit() -> None:
    assert after(failed(), failed()) == Next("ask")
    assert ending(failed(), failed(), failed()).state == "failed"


@pytest.mark.parametrize("kind", ["auth", "quota", "not_found", "down", "format"])
def test_failures_of_the_set_up_are_not_the_questions(kind: str) -> None:
    assert after(*[failed(kind)] * 50) == Next("ask")


def test_overload_and_interruption_do_not_use_up_attempts() -> None:
    assert after(*[failed("overload")] * 4, *[Past("interrupted", "ask")] * 40) == Next("ask")
    assert ending(*[failed("overload")] * 5).state == "failed"


@pytest.mark.parametrize("kind", ["bad_request", "refused"])
def test_refused_question_fails_at_once(kind: str) -> None:
    assert ending(failed(kind)).state == "failed"


def test_filtered_answer_is_rejected() -> None:
    assert "content filter" in (ending(answered("", finish="content_filter")).reason or "")


@given(
    st.lists(
        st.sampled_from(["prose", "cut", "good", "transient", "overload", "down", "killed"]),
        max_size=60,
    )
)
def test_paid_answers_per_question_are_bounded(events: list[str]) -> None:
    """Whatever an oracle does, a question costs at most three answers."""
    history: list[Past] = []
    for event in events:
        following = after(*history)
        if isinstance(following, Ending):
            break
        if event == "killed":
            history.append(Past("interrupted", following.step))
        elif event in ("transient", "overload", "down"):
            history.append(failed(event))
        else:
            raw = '{"a": 1}' if event == "good" else "x"
            finish = "length" if event == "cut" else "stop"
            history.append(answered(raw, following.step, finish))
    assert sum(past.state == "answered" for past in history) <= 3
