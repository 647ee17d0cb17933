"""A run resumed on a GPU stays within the stated tolerance of one that was never cut off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distillery_core.dataset.rows import read_examples
from distillery_core.filters.filter import Filter
from distillery_core.student.predict import load_model, predict
from distillery_core.student.result import TrainResult
from distillery_core.student.settings import TrainSettings
from distillery_core.student.tolerances import RESUMED_MAE_TOLERANCE, RESUMED_SCORE_TOLERANCE
from distillery_core.student.training import train

Make = Callable[..., TrainSettings]
STOPPED_AT = 17
"""Of 36 steps: in the second of three epochs."""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_resumed_run_stays_within_the_tolerance(
    method: str, filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    asked = settings(
        method=method, epochs=3, device="cuda", precision="auto", learning_rate=1e-3,
        checkpoint_every=5,
    )  # fmt: skip
    whole = train(filter_, data_dir, tmp_path / "whole", asked)
    kept = replace(asked, checkpoint_dir=str(tmp_path / "checkpoints"))

    def stop(done: int, total: int | None, note: str = "") -> None:
        if done == STOPPED_AT:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(filter_, data_dir, tmp_path / "out", kept, progress=stop)
    resumed = train(filter_, data_dir, tmp_path / "out", replace(kept, resume="newest"))
    assert resumed.metadata["total_steps"] == 36
    assert _maes(resumed) == pytest.approx(_maes(whole), abs=RESUMED_MAE_TOLERANCE)
    off = np.abs(_scores(resumed, data_dir) - _scores(whole, data_dir)).max()
    assert off <= RESUMED_SCORE_TOLERANCE


def _maes(result: TrainResult) -> list[float]:
    return [record.val_mae for record in result.history]


def _scores(result: TrainResult, data_dir: Path) -> np.ndarray:
    articles = read_examples(data_dir / "val.jsonl")
    return predict(load_model(result.model_dir), articles, calibrated=False).values
