"""Every accepted shape of a label, and every one that must not become one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.dataset.labels import LabelProblem, read_label
from distillery_core.filters.filter import Filter

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases/dataset/labels.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(flood: Filter, case: dict[str, Any]) -> None:
    row = {"flood_analysis": case["analysis"]}
    if "scores" in case:
        assert list(read_label(row, flood).scores) == case["scores"]
        return
    with pytest.raises(LabelProblem) as error:
        read_label(row, flood)
    assert error.value.kind == case["kind"]
    assert case["reason"] in str(error.value)


@pytest.mark.parametrize(
    ("score", "kind"),
    [(math.nan, "not_finite"), (math.inf, "not_finite"), (10**400, "out_of_range")],
)
def test_numbers_that_are_none(flood: Filter, score: float, kind: str) -> None:
    with pytest.raises(LabelProblem) as error:
        read_label({"flood_analysis": {"dimensions": {"depth": score, "harm": 1}}}, flood)
    assert error.value.kind == kind


def test_reasoning_and_provenance_travel_along(flood: Filter) -> None:
    scores = {"depth": 1, "harm": 2}
    label = read_label(
        {
            "flood_analysis": {
                "dimensions": scores,
                "reasoning": "wet",
                "provenance": {"oracle": "x"},
            }
        },
        flood,
    )
    assert (label.reasoning, label.provenance) == ("wet", {"oracle": "x"})
