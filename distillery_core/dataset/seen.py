"""A set of 64-bit keys that takes 8 bytes a key once it is large."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_RECENT = 1 << 16


class SeenKeys:
    """Remembers 64-bit hashes; a Python set of them would need ten times the memory.

    Among a million random keys two are equal by chance once in 37 million runs.
    """

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._settled: npt.NDArray[np.uint64] = np.empty(0, dtype=np.uint64)

    def add(self, key: int) -> bool:
        """Remember a key (0 <= key < 2**64); False if it was there already."""
        if key in self._recent or self._is_settled(key):
            return False
        self._recent.add(key)
        if len(self._recent) >= _RECENT:
            self._settle()
        return True

    def _is_settled(self, key: int) -> bool:
        if not len(self._settled):
            return False
        wanted = np.uint64(key)
        at = int(self._settled.searchsorted(wanted))
        return at < len(self._settled) and bool(self._settled[at] == wanted)

    def _settle(self) -> None:
        fresh = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent))
        self._settled = np.concatenate([self._settled, fresh])
        self._settled.sort(kind="stable")
        self._recent = set()
