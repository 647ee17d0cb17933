from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distillery_core.agents.reading import (
    NOT_READ,
    Lowering,
    Reading,
    check_reading,
    prompt_block,
    read_evidence,
    reading_schema,
)
from distillery_core.errors import UserError
from distillery_core.filters.config import About
from distillery_core.types import Level


def _answer(**changes: Any) -> dict[str, Any]:
    return {"summary": "s", "lower_to": None, "lower_reason": "", **changes}


def test_the_schema_offers_only_lower_verdicts() -> None:
    assert reading_schema(True)["properties"]["lower_to"]["enum"] == [None, "REVIEW", "FAIL"]
    assert "prompt_edits" not in reading_schema(False)["properties"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({}, "summary"),
        (_answer(summary=""), "summary"),
        (_answer(extra=1), "extra"),
        (_answer(lower_to="FAIL"), "without lower_reason"),
        (_answer(lower_to="BEST", lower_reason="x"), "not null, REVIEW or FAIL"),
        (_answer(recommendations=["x"] * 50), "recommendations"),
        (_answer(summary="x" * 10_000), "summary"),
    ],
)
def test_another_form_is_refused(answer: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_reading(answer)


def _reading(to: str | None) -> Reading:
    return Reading("m", check_reading(_answer(lower_to=to, lower_reason="because")))


def test_the_lowest_wish_counts_with_all_its_reasons() -> None:
    assert Lowering().lowered is None
    assert Lowering(reading=_reading(None)).lowered is None
    both = Lowering(("cuts moved",), _reading("REVIEW")).lowered
    assert both is not None
    assert (both.to, both.by) == (Level.REVIEW, "distillery and m")
    assert both.reason == "cuts moved; because"
    worse = Lowering(("cuts moved",), _reading("FAIL")).lowered
    assert worse is not None
    assert (worse.to, worse.reason, worse.by) == (Level.FAIL, "because", "m")


def test_a_wish_to_raise_does_not_hide_a_caution() -> None:
    lowered = Lowering(("cuts moved",), _reading("PASS")).lowered
    assert lowered is not None and lowered.to is Level.REVIEW


def test_without_a_reader_nothing_is_asked() -> None:
    agent: Any = None
    assert read_evidence(agent, None, "x", {}, edits=False) is NOT_READ


def test_a_prompt_cannot_call_what_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "prompt.md.j2"
    path.write_text("{% block user %}{{ f.parse_raw('N.') }}{% endblock %}", encoding="utf-8")
    with pytest.raises(UserError, match="not safely callable"):
        prompt_block(path, "user", {"f": About(name="x", version="1")})


def test_blocks_of_a_prompt(tmp_path: Path) -> None:
    path = tmp_path / "prompt.md.j2"
    path.write_text("{% block system %}Be {{ how }}.{% endblock %}", encoding="utf-8")
    assert prompt_block(path, "system", {"how": "<strict>"}) == "Be <strict>."
    with pytest.raises(UserError, match="no block 'user'"):
        prompt_block(path, "user", {})
    with pytest.raises(UserError, match="how"):
        prompt_block(path, "system", {})
    with pytest.raises(UserError, match="cannot be read"):
        prompt_block(tmp_path / "none", "system", {})
