"""From scores to overall score and tier, by a table and by properties."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.filters import load_filter
from distillery_core.filters.score_rules import overall, tier

ROOT = Path(__file__).parents[2]
CASES = yaml.safe_load((ROOT / "tests/cases/filters/score_rules.yaml").read_text(encoding="utf-8"))
SHIPPED = [
    load_filter(ROOT / "filters/uplifting/v1"),
    load_filter(ROOT / "filters/sustainability_tech_deployment/v1"),
]
MARKERS = ["", "FOR IMMEDIATE RELEASE", "Sponsored: x", "In this tutorial", "nothing here"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_scores(make_filter: Callable[..., Path], case: dict[str, Any]) -> None:
    rules = "".join(f"  {key}: {value}\n" for key, value in case.get("rules", {}).items())
    mood = load_filter(make_filter(("  tiers:\n", f"{rules}  tiers:\n")))
    scores = dict(zip(mood.dimensions, case["scores"], strict=True))
    result = overall(mood, scores, case.get("text", ""))
    if "overall" in case:
        assert result.value == pytest.approx(case["overall"], abs=1e-9)
    assert result.raw == pytest.approx(case.get("raw", result.raw), abs=1e-9)
    assert tier(mood, result.value) == case.get("tier", tier(mood, result.value))
    assert list(result.applied) == case.get("applied", list(result.applied))


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda f: str(f.name))
@given(data=st.data())
def test_rules_only_lower_and_stay_in_range(shipped: Any, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.floats(0, 10), min_size=8, max_size=8))
    scores = dict(zip(shipped.dimensions, values, strict=True))
    result = overall(shipped, scores, data.draw(st.sampled_from(MARKERS)))
    assert 0 <= result.value <= result.raw <= 10
    assert (result.value < result.raw) <= bool(result.applied)
    assert tier(shipped, result.value) in {t.name for t in shipped.config.scoring.tiers}


@given(st.integers(0, 100))
def test_equal_scores_are_their_own_mean(tenths: int) -> None:
    """A score that is exactly a tier's cut must reach the tier, whatever the weights."""
    for shipped in SHIPPED:
        value = tenths / 10
        assert overall(shipped, dict.fromkeys(shipped.dimensions, value), "").raw == value
