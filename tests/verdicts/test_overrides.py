from __future__ import annotations

from pathlib import Path

import pytest

from distillery_core.errors import UserErrors
from distillery_core.filters.config import CriterionOverride
from distillery_core.types import Level
from distillery_core.verdicts import decide, load_criteria, rate, with_overrides

ROOT = Path(__file__).parents[2]
CRITERIA = load_criteria("prompt_calibration", ROOT)
LINE = "off_topic_false_positives"


def level(criteria, count: int, n: int) -> Level:
    decision = decide(criteria, {LINE: rate(count, n)})
    return next(line.level for line in decision.lines if line.name == LINE)


def test_an_override_changes_the_limits_and_keeps_its_reason():
    relaxed = with_overrides(
        CRITERIA, {LINE: {"ok": "< 0.15", "fail": "> 0.3", "reason": "fires are often arson"}}
    )
    assert level(CRITERIA, 5, 40) is Level.REVIEW
    assert level(relaxed, 5, 40) is Level.OK
    assert relaxed.line(LINE).override_reason == "fires are often arson"
    assert relaxed.line(LINE).shipped_limits == "ok < 0.10, fail > 0.20"
    assert relaxed.line("on_topic_misses") == CRITERIA.line("on_topic_misses")


def test_what_it_does_not_name_stays():
    stricter = with_overrides(CRITERIA, {LINE: CriterionOverride(ok="< 0.05", reason="costly")})
    assert level(stricter, 2, 40) is Level.REVIEW
    assert stricter.line(LINE).fail == "> 0.20"


def test_all_mistakes_at_once_with_near_matches():
    overrides = {
        "off_topic_false_positive": {"ok": "< 0.2", "reason": "a typo"},
        "on_topic_misses": {"ok": "> 0.2", "reason": "turned round"},
        "flat_share": {"fail": "> 0.1", "reason": "below ok"},
        "scored_edge": {"fail": "< 5", "reason": "has no fail"},
        "answered_and_valid": {"reason": "changes nothing"},
        "repeatability": {"ok": "<= 0.4", "reason": " "},
        "dimension_variance": {"ok": "> 0.9", "reason": "x", "okay": "> 1"},
        "grounding_lift": {"ok": "about 2", "reason": "no condition"},
    }
    with pytest.raises(UserErrors) as caught:
        with_overrides(CRITERIA, overrides, where="filters/f/v1/config.yaml")
    text = str(caught.value)
    assert len(caught.value.errors) == len(overrides)
    for part in (
        "did you mean 'off_topic_false_positives'?",
        "turns the shipped '< 0.20' round",
        "overlap",
        "no fail limit to change",
        "changes neither",
        "needs a reason",
        "okay",
        "is not a condition",
        "filters/f/v1/config.yaml",
    ):
        assert part in text
