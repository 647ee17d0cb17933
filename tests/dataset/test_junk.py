"""Junk is recognised by its form, in any script, and articles are let through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.dataset.junk import junk_reason
from distillery_core.types import Article

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases/dataset/junk.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict[str, Any]) -> None:
    reason = junk_reason(Article("x", "", case["text"] * case.get("times", 1)))
    if "junk" in case:
        assert reason is not None
        assert case["junk"] in reason
    else:
        assert reason is None


def test_a_long_article_may_speak_of_cookies(prose: Callable[..., str]) -> None:
    text = f"We use cookies in this bakery, said the owner. {prose(1, words=60)}"
    assert junk_reason(Article("x", "", text)) == "cookie, login or script wall"
    assert junk_reason(Article("x", "", f"{text} {prose(2, words=200)}")) is None


def test_no_real_article_is_junk(lee_texts: dict[str, str]) -> None:
    found = {key: junk_reason(Article(key, "", text)) for key, text in lee_texts.items()}
    assert {key: reason for key, reason in found.items() if reason} == {}
