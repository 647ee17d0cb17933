"""Classes by rule and by review."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.dataset.classes import Classified, classify, load_classes
from distillery_core.errors import UserError, UserErrors
from distillery_core.filters.filter import Filter
from distillery_core.types import Article

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases/dataset/classes.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:40])
def test_case(flood: Filter, case: dict[str, Any]) -> None:
    found = classify(flood, Article("x", "", case["text"]))
    assert found.name == case["class"]
    assert case["reason"] in found.reason
    assert found.by == "rules"


def test_the_title_counts_too(flood: Filter) -> None:
    assert classify(flood, Article("x", "Flood", "A council meeting")).name == "on_topic"


def test_a_reviewed_file_in_both_shapes(write_rows: Callable[..., Path]) -> None:
    path = write_rows(
        [
            {"id": "a", "class": "edge", "reason": "half"},
            {"id": "b", "flood": "on_topic", "storm": "off_topic", "why": "wet"},
            {"id": "c", "storm": "off_topic"},
        ]
    )
    assert load_classes(path, "flood") == {
        "a": Classified("edge", "half", "review"),
        "b": Classified("on_topic", "wet", "review"),
    }


def test_mistakes_in_a_reviewed_file_are_all_named(write_rows: Callable[..., Path]) -> None:
    path = write_rows(
        [
            {"id": "a", "class": "edge"},
            {"id": "a", "class": "on_topic"},
            {"id": "b", "class": "positive"},
            "{broken",
            {"class": "edge"},
        ]
    )
    with pytest.raises(UserErrors) as error:
        load_classes(path, "flood")
    lines = [str(one.where).rsplit(":", 1)[1] for one in error.value.errors]
    assert lines == ["2", "3", "4", "5"]
    assert "'positive'" in str(error.value)


def test_a_reviewed_file_of_another_filter(write_rows: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="names no class for the filter flood"):
        load_classes(write_rows([{"id": "a", "storm": "edge"}]), "flood")
