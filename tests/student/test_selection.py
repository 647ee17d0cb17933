"""Which epoch is kept: by the metric of the filter's kind."""

from __future__ import annotations

import pytest

from distillery_core.student.record import EpochRecord
from distillery_core.student.selection import Selection
from tests.epochs import epoch_of


def epoch(number: int, mae: float, spearman: float | None, recall: float | None) -> EpochRecord:
    return epoch_of(number, {"mae": mae, "spearman": spearman, "needle_recall": recall})


HISTORY = [epoch(1, 0.9, None, 0.5), epoch(2, 0.5, 0.3, 0.5), epoch(3, 0.7, 0.6, 0.2)]


@pytest.mark.parametrize(
    ("asked", "kind", "by", "best"),
    [
        ("auto", "general", "mae", 2),
        ("auto", "needle", "spearman", 3),
        ("mae", "needle", "mae", 2),
        ("recall", "general", "recall", 2),
    ],
)
def test_the_best_epoch(asked: str, kind: str, by: str, best: int) -> None:
    selection = Selection.for_kind(asked, kind)  # type: ignore[arg-type]
    assert selection.by == by
    assert selection.best(HISTORY).epoch == best
    assert selection.waited(HISTORY) == 3 - best
    assert selection.is_better(HISTORY[0], [])
    assert selection.is_better(HISTORY[2], HISTORY[:2]) == (best == 3)


def test_the_line_reads_as_in_the_seed() -> None:
    assert Selection("mae").line(HISTORY[1], HISTORY[:1]) == "New best validation MAE: 0.500"
    assert Selection("spearman").line(HISTORY[0], []) == "New best validation Spearman: -"
    assert Selection("spearman").line(HISTORY[1], HISTORY[:1]).endswith("Spearman: 0.300")


def test_of_equals_the_line_names_what_broke_the_tie() -> None:
    told = Selection("recall").line(HISTORY[1], HISTORY[:1])
    assert told == "Same validation recall: 0.500 as in epoch 1, kept for its lower MAE: 0.500"
