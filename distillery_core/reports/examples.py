"""A table of example scores: what a model makes of single articles, beside what was labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distillery_core.reports.formatting import fixed

EXAMPLE_HEADER = ("article", "overall", "tier", "labelled", "highest dimension")


@dataclass(frozen=True, slots=True)
class ExampleScore:
    """One scored article; `labelled` is the oracle's overall score where there is one."""

    title: str
    overall: float
    tier: str
    scores: dict[str, float]
    labelled: float | None = None


def spread(examples: Sequence[ExampleScore], n: int) -> list[ExampleScore]:
    """`n` examples from highest to lowest overall, evenly over the whole range."""
    ordered = sorted(examples, key=lambda example: (-example.overall, example.title))
    if len(ordered) <= n:
        return ordered
    if n <= 1:
        return ordered[:n]
    return [ordered[round(i * (len(ordered) - 1) / (n - 1))] for i in range(n)]


def example_rows(examples: Sequence[ExampleScore]) -> list[tuple[str, ...]]:
    """Rows under `EXAMPLE_HEADER`; the titles are not escaped yet."""
    return [
        (
            example.title,
            fixed(example.overall, 1),
            example.tier,
            fixed(example.labelled, 1),
            _highest(example.scores),
        )
        for example in examples
    ]


def _highest(scores: dict[str, float]) -> str:
    if not scores:
        return "-"
    name = max(scores, key=lambda dimension: scores[dimension])
    return f"{name} {fixed(scores[name], 1)}"
