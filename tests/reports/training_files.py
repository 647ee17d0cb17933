"""A run's two files, and a report made of them, for the tests of plots, summary and document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NAMES = ("harm", "area", "loss")


def write_run(
    home: Path,
    maes: Sequence[float] = (1.2, 0.8, 0.6),
    kept: int | None = None,
    val: Mapping[str, Sequence[float | None]] | None = None,
    **metadata: Any,
) -> Path:
    """Write history and metadata of a run with these validation MAEs; returns the history.

    `val`: further validation metrics by epoch.
    """
    epochs = [_epoch(at, mae) for at, mae in enumerate(maes, 1)]
    for name, values in (val or {}).items():
        for epoch, value in zip(epochs, values, strict=True):
            epoch["val"][name] = value
    facts = {
        "filter_name": "floods",
        "filter_version": "1.0",
        "dimension_names": list(NAMES),
        "model_name": "package:x/model",
        "num_parameters": 22_700_000,
        "num_trainable_parameters": 22_700_000,
        "train_examples": 1920,
        "val_examples": 240,
        "best_epoch": kept or len(maes),
        "seconds": 120.0,
        "finished_at": "2026-11-22T20:00:00Z",
        "hashes": {"model_sha256": "m" * 64},
        "versions": {"distillery": "0.1.0"},
        **metadata,
    }
    home.mkdir(parents=True, exist_ok=True)
    (home / "training_metadata.json").write_text(json.dumps(facts), encoding="utf-8")
    history = home / "training_history.json"
    history.write_text(json.dumps(epochs), encoding="utf-8")
    return history


def _epoch(number: int, mae: float) -> dict[str, Any]:
    def metrics(error: float) -> dict[str, float]:
        own = {f"{name}_mae": error + at / 10 for at, name in enumerate(NAMES)}
        return {"loss": error**2, "mae": error, "rmse": error + 0.3, **own}

    return {"epoch": number, "train": metrics(0.7 * mae), "val": metrics(mae)}
