"""Train, validation and test: grouped, stratified, and decided by a hash instead of a shuffle.

Each group of duplicates has a position in [0, 1), a hash of the filter's name and its texts. Inside
a stratum the groups with the lowest positions become test, the next validation, the rest train,
until each has its share of the rows. So the input's order does not matter, and an article keeps its
split when labels are added or the version changes, except near the two thresholds, which move a
little with the stratum's composition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np
import numpy.typing as npt

from distillery_core.errors import UserError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
TRAIN, VAL, TEST = range(3)

_OPTIONS = "--train-ratio --val-ratio --test-ratio"
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ratios:
    """Shares of train, validation and test; non-negative, train positive, summing to 1.

    Raises:
        UserError: they are not.
    """

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        if any(not math.isfinite(s) or s < 0 for s in self.shares) or self.train <= 0:
            what = f"ratios {self} must not be negative, and train must get something"
            raise UserError(what, where=_OPTIONS)
        if abs(sum(self.shares) - 1) > 1e-6:
            what = f"ratios {self} sum to {sum(self.shares):g}, they must sum to 1"
            raise UserError(what, where=_OPTIONS)

    @property
    def shares(self) -> tuple[float, float, float]:
        """In the order of `SPLITS`."""
        return self.train, self.val, self.test

    def __str__(self) -> str:
        return "/".join(f"{share:g}" for share in self.shares)


@dataclass(frozen=True, slots=True)
class _Groups:
    """All groups as arrays, in the order of their positions."""

    rows: _Ints
    stratum: _Ints
    of_row: _Ints


def assign_splits(
    groups: Sequence[int] | _Ints,
    keys: Sequence[int] | npt.NDArray[np.uint64],
    strata: Sequence[int] | _Ints,
    ratios: Ratios,
    filter_name: str,
) -> list[Split]:
    """The split of every row; rows of one group always get the same.

    Args:
        groups: the group of each row, any numbers.
        keys: the 64-bit identity of each row's text; a group stands at its lowest position.
        strata: the tier of each row, 0 the highest; a group belongs to its highest.
        ratios: wanted shares of rows, held within each stratum up to the size of a group.

    Raises:
        UserError: there are fewer groups than splits that shall get something.
    """
    gathered = _gather(groups, keys, strata, filter_name)
    split = np.zeros(len(gathered.rows), dtype=np.int64)
    for stratum in np.unique(gathered.stratum):
        members = np.flatnonzero(gathered.stratum == stratum)
        split[members] = _split_stratum(gathered.rows[members], ratios)
    _fill_empty(split, gathered.rows, ratios)
    return [SPLITS[code] for code in split[gathered.of_row]]


def position(key: int, filter_name: str) -> float:
    """Where a text stands in [0, 1) for this filter, for good."""
    digest = blake2b(f"{filter_name}\n{key:016x}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _gather(
    groups: Sequence[int] | _Ints,
    keys: Sequence[int] | npt.NDArray[np.uint64],
    strata: Sequence[int] | _Ints,
    filter_name: str,
) -> _Groups:
    _, of_row, rows = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    places = np.fromiter((position(int(key), filter_name) for key in keys), float, len(keys))
    lowest = np.full(len(rows), 1.0)
    np.minimum.at(lowest, of_row, places)
    highest_tier = np.full(len(rows), np.iinfo(np.int64).max)
    np.minimum.at(highest_tier, of_row, np.asarray(strata, dtype=np.int64))
    order = np.argsort(lowest, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return _Groups(rows[order], highest_tier[order], rank[of_row])


def _split_stratum(rows: _Ints, ratios: Ratios) -> _Ints:
    """The split of each group of one stratum, given their sizes in the order of their positions.

    A group that would fill validation or test alone goes to train.
    """
    total = rows.sum()
    held_out = [share for share in (ratios.val, ratios.test) if share > 0]
    largest = max(1.0, min(held_out, default=0.0) * total)
    counted = np.where(rows <= largest, rows, 0)
    middle = np.cumsum(counted) - counted / 2
    test, val = middle < ratios.test * total, middle < (ratios.test + ratios.val) * total
    return np.where(counted == 0, TRAIN, np.where(test, TEST, np.where(val, VAL, TRAIN)))


def _fill_empty(split: _Ints, rows: _Ints, ratios: Ratios) -> None:
    """In small datasets rounding may leave a split empty; it takes a group from the largest."""
    wanted = [code for code, share in enumerate(ratios.shares) if share > 0]
    if len(rows) < len(wanted):
        what = f"{len(rows)} distinct texts cannot make {len(wanted)} splits"
        raise UserError(what, hint="label more articles")
    for empty in (code for code in wanted if not (split == code).any()):
        donor = np.flatnonzero(split == np.bincount(split, minlength=len(SPLITS)).argmax())
        split[donor[rows[donor].argmin()]] = empty
