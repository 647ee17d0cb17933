"""Identical and nearly identical texts: exact keys, MinHash candidates, verified similarity.

Candidates come from MinHash with locality-sensitive hashing (`shingles.py`); each is verified with
the true Jaccard similarity of the two shingle sets, so a group holds no chance collisions. Groups
are closed under similarity: if A is near B and B near C, all three are one group.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from distillery_core.dataset.shingles import Hashes, Keys, band_keys, jaccard, shingle_set
from distillery_core.fence import normalised_key

Ints = npt.NDArray[np.int64]

NEAR_DUPLICATE = 0.7
"""Jaccard similarity from which two texts count as nearly the same, as in the BigCode pipeline
(huggingface.co/blog/dedup). With 3-word shingles one word in 16 may differ at random, or 30 % of a
text be cut off."""

_BATCH = 128
_BUCKET_HEADS = 100
"""How many texts of one bucket are compared with each newcomer. A larger bucket is boilerplate, and
real duplicates in it meet again in one of the other 19 bands."""


def text_key(text: str) -> int:
    """The first 64 bits of the text's normalised key: equal for texts of equal letters."""
    return int(normalised_key(text)[:16], 16)


@dataclass
class TextIndex:
    """What is kept of each text to find its duplicates: 8 bytes of key, 80 bytes of band keys.

    Texts are added one by one and hashed in batches.
    """

    _keys: array[int] = field(default_factory=lambda: array("Q"))
    _waiting: list[str] = field(default_factory=list)
    _bands: list[Keys] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, text: str) -> None:
        """Remember a text."""
        self._keys.append(text_key(text))
        self._waiting.append(text)
        if len(self._waiting) >= _BATCH:
            self._hash_waiting()

    @property
    def keys(self) -> Hashes:
        """The key of each text so far."""
        return np.array(self._keys, dtype=np.uint64)

    def bands(self) -> Keys:
        """The band keys of all texts so far, one row a text."""
        self._hash_waiting()
        if len(self._bands) != 1:
            self._bands = [np.concatenate(self._bands)] if self._bands else [band_keys([])]
        return self._bands[0]

    def _hash_waiting(self) -> None:
        if self._waiting:
            self._bands.append(band_keys(self._waiting))
            self._waiting = []


@dataclass(frozen=True)
class Duplicates:
    """Which rows hold the same text, or nearly.

    `group[i]` names the group of row i by its smallest row. `exact` counts rows that repeat an
    earlier row's text, `near` the joins of two groups by similarity.
    """

    group: Ints
    exact: int
    near: int

    @property
    def groups(self) -> int:
        """How many distinct groups there are."""
        return len(np.unique(self.group))


def index_texts(texts: Iterable[str]) -> TextIndex:
    """An index of all texts."""
    index = TextIndex()
    for text in texts:
        index.add(text)
    return index


def find_duplicates(
    index: TextIndex, text_of: Callable[[int], str], threshold: float = NEAR_DUPLICATE
) -> Duplicates:
    """Group identical and near-identical texts.

    Args:
        text_of: the text of a row of the index, asked only to verify candidates.
        threshold: Jaccard similarity of 3-shingles, 0-1.
    """
    _, firsts, of_row = np.unique(index.keys, return_index=True, return_inverse=True)
    join = _Join(len(index), text_of, threshold)
    for row, first in enumerate(firsts[of_row].tolist()):
        join.union(first, row)
    firsts = np.sort(firsts)
    bands = index.bands()
    near = sum(
        join.bucket(bucket)
        for band in range(bands.shape[1])
        for bucket in _shared_buckets(bands[firsts, band], firsts)
    )
    return Duplicates(join.labels(), len(index) - len(firsts), near)


def duplicates_of(texts: Sequence[str], threshold: float = NEAR_DUPLICATE) -> Duplicates:
    """`find_duplicates` over texts that are all in memory."""
    return find_duplicates(index_texts(texts), lambda row: texts[row], threshold)


class _Join:
    """Union-find over row numbers, with the verification that allows a union by similarity."""

    def __init__(self, size: int, text_of: Callable[[int], str], threshold: float) -> None:
        self._parent = array("q", range(size))
        self._threshold = threshold
        self._shingles = lru_cache(maxsize=4096)(lambda row: shingle_set(text_of(row)))

    def find(self, row: int) -> int:
        """The smallest row of the row's group."""
        parent = self._parent
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def union(self, left: int, right: int) -> None:
        """Make two groups one."""
        left, right = self.find(left), self.find(right)
        self._parent[max(left, right)] = min(left, right)

    def bucket(self, rows: Iterable[int]) -> int:
        """Join the rows of one bucket that resemble each other; returns how many joins it took."""
        heads: list[int] = []
        joins = 0
        for row in rows:
            for head in heads:
                if self.find(head) != self.find(row) and self._similar(head, row):
                    self.union(head, row)
                    joins += 1
            if len(heads) < _BUCKET_HEADS:
                heads.append(row)
        return joins

    def labels(self) -> Ints:
        """The group of every row."""
        rows = range(len(self._parent))
        return np.fromiter((self.find(row) for row in rows), np.int64, len(rows))

    def _similar(self, left: int, right: int) -> bool:
        return jaccard(self._shingles(left), self._shingles(right)) >= self._threshold


def _shared_buckets(keys: Keys, rows: Ints) -> Iterator[list[int]]:
    """The rows of each key that occurs more than once; key 0 means a text without letters."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(keys) else order
    sizes = np.diff(np.r_[starts, len(keys)])
    for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
        if ordered[start]:
            yield rows[order[start : start + size]].tolist()


class KnownTexts:
    """Answers whether a text is one of many others, or nearly; grows by `add`."""

    def __init__(self, texts: Iterable[str] = (), threshold: float = NEAR_DUPLICATE) -> None:
        self._threshold = threshold
        self._keys: set[int] = set()
        self._shingles: list[Hashes] = []
        self._buckets: dict[tuple[int, int], list[int]] = {}
        for text in texts:
            self.add(text)

    def __len__(self) -> int:
        return len(self._shingles)

    def add(self, text: str) -> None:
        """From now on this text is known."""
        self._keys.add(text_key(text))
        number = len(self._shingles)
        self._shingles.append(shingle_set(text))
        for bucket in _buckets(text):
            self._buckets.setdefault(bucket, []).append(number)

    def __contains__(self, text: str) -> bool:
        if not self._keys:
            return False
        return text_key(text) in self._keys or self._resembles(text)

    def _resembles(self, text: str) -> bool:
        near = {number for bucket in _buckets(text) for number in self._buckets.get(bucket, ())}
        if not near:
            return False
        own = shingle_set(text)
        return any(jaccard(own, self._shingles[number]) >= self._threshold for number in near)


def _buckets(text: str) -> Iterator[tuple[int, int]]:
    keys = band_keys([text])[0]
    return ((band, int(key)) for band, key in enumerate(keys) if key)
