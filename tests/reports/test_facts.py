from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pytest

from distillery_core.reports.facts import facts
from distillery_core.types import Article


class Colour(Enum):
    red = 1


@dataclass(frozen=True)
class Pair:
    a: float
    b: tuple[int, ...]

    @property
    def total(self) -> float:
        return self.a + sum(self.b)


def test_values_become_json() -> None:
    given = {
        "pair": Pair(0.5, (1, 2)),
        "array": np.array([[1.0, float("nan")]]),
        "scalar": np.float32(0.5),
        "colour": Colour.red,
        "set": {"b", "a"},
        "path": Path("/elsewhere/plots"),
        "none": None,
        "yes": True,
        "text": "lone \ud800",
    }
    assert facts(given) == {
        "pair": {"a": 0.5, "b": [1, 2], "total": 3.5},
        "array": [[1.0, None]],
        "scalar": 0.5,
        "colour": "red",
        "set": ["a", "b"],
        "path": "plots",
        "none": None,
        "yes": True,
        "text": "lone ?",
    }


def test_no_text_of_an_article_gets_into_it() -> None:
    article = Article("1", "A title", "the whole text", {"url": "https://x"})
    assert facts([article]) == [{"id": "1", "title": "A title"}]


def test_what_is_no_data_is_refused() -> None:
    with pytest.raises(TypeError, match="object cannot stand in a report's record"):
        facts(object())
