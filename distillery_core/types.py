"""The few values that every room shares. Imports nothing of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

SCORE_MIN = 0.0
SCORE_MAX = 10.0

Scores = Mapping[str, float]
"""Dimension name -> score in [0, 10]."""


@dataclass(frozen=True, slots=True)
class Article:
    """One text to judge.

    `extra` holds every other key of its row (url, source, published_date, language, sample ...),
    so that writing `row()` back loses nothing.
    """

    id: str
    title: str
    content: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The article as a JSON object."""
        return {"id": self.id, "title": self.title, "content": self.content, **self.extra}


class Level(IntEnum):
    """How a single line, or a whole verdict, came out. The worst one decides."""

    NOT_APPLICABLE = 0
    OK = 1
    REVIEW = 2
    FAIL = 3


class Progress(Protocol):
    """Called as work goes on; `total` is None where it is not known."""

    def __call__(self, done: int, total: int | None, note: str = "") -> None: ...


def silent(done: int, total: int | None, note: str = "") -> None:
    """The Progress of a caller that does not look."""
