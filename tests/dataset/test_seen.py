"""The compact set of keys behaves as a set."""

from __future__ import annotations

import numpy as np
import pytest

from distillery_core.dataset import seen


def test_it_remembers_across_its_two_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "_RECENT", 100)
    keys = np.random.default_rng(1).integers(0, 5000, 8000, dtype=np.uint64).tolist()
    keys += [0, 2**64 - 1, 0, 2**64 - 1]
    ours, truth = seen.SeenKeys(), set[int]()
    for key in keys:
        assert ours.add(key) is (key not in truth)
        truth.add(key)
