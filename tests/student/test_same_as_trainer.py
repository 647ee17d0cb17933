"""Our training loop beside `transformers.Trainer`: packed or not, it takes the same steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distillery_core.student.settings import TrainSettings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("family", ["bert", "qwen2"])
@pytest.mark.parametrize("packing", [True, False])
def test_the_same_batches_give_the_same_model(
    family: str, packing: bool, base: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from train_loops import ours, peer
    from train_setup import lee

    material = lee()
    few = replace(material.dataset, train=material.dataset.train[:21], val=material.dataset.val[:9])
    settings = TrainSettings(
        model_name=str(base(family)),
        max_length=64,
        epochs=2,
        batch_size=4,
        learning_rate=1e-3,
        precision="float32",
        packing=packing,
        device="cpu",
    )
    material = replace(material, dataset=few)
    mine, theirs = ours(material, settings), peer(material, settings, bf16=False)
    untrained = ours(material, replace(settings, learning_rate=1e-9))
    assert np.abs(mine.predictions - theirs.predictions).max() < 1e-3
    assert np.abs(mine.predictions - untrained.predictions).max() > 0.1
