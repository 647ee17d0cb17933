"""Leak report: texts of one split that stand, identical or nearly so, in another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distillery_core.dataset.duplicates import NEAR_DUPLICATE, Ints, duplicates_of
from distillery_core.dataset.rows import read_examples
from distillery_core.dataset.split import SPLITS, TEST, VAL, Split

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What a later split shares with an earlier one.

    `test` counts test rows with the same or nearly the same text in train or validation, `val`
    validation rows with one in train. `examples` are ids of such rows, at most ten.
    """

    test: int
    val: int
    examples: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """All leaking rows."""
        return self.test + self.val


def find_leaks(
    groups: Sequence[int] | Ints, splits: Sequence[Split], id_of: Callable[[int], str]
) -> LeakReport:
    """Count the rows whose group stands in an earlier split too.

    Args:
        groups: the duplicate group of each row.
        splits: "train", "val" or "test" of each row.
        id_of: the id of a row, asked for the examples.
    """
    codes = np.array([SPLITS.index(split) for split in splits], dtype=np.int64)
    _, of_row = np.unique(np.asarray(groups), return_inverse=True)
    earliest = np.full(len(splits), len(SPLITS))
    np.minimum.at(earliest, of_row, codes)
    leaking = np.flatnonzero(earliest[of_row] < codes)
    counts = np.bincount(codes[leaking], minlength=len(SPLITS))
    shown = tuple(id_of(int(row)) for row in leaking[:_SHOWN])
    return LeakReport(int(counts[TEST]), int(counts[VAL]), shown)


def leaks_in(folder: Path, threshold: float = NEAR_DUPLICATE) -> LeakReport:
    """Read the three splits of a dataset folder and compare their texts anew.

    Raises:
        UserError: a split is missing or not in the training format.
    """
    splits: list[Split] = []
    ids: list[str] = []
    texts: list[str] = []
    for split in SPLITS:
        for example in read_examples(folder / f"{split}.jsonl"):
            splits.append(split)
            ids.append(example.id)
            texts.append(example.content)
    return find_leaks(duplicates_of(texts, threshold).group, splits, ids.__getitem__)
