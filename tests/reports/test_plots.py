from __future__ import annotations

from pathlib import Path

import numpy as np

from distillery_core.reports import plots


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    labels, predictions = rng.uniform(0, 10, (40, 5)), rng.uniform(0, 10, (40, 5))
    names = ["a", "b", "c", "d", "e"]
    for name in ("one.png", "two.png"):
        plots.predicted_vs_labelled(tmp_path / name, predictions, labels, names)
    first = (tmp_path / "one.png").read_bytes()
    assert first == (tmp_path / "two.png").read_bytes()
    assert first.startswith(b"\x89PNG")


def test_bars_and_epochs_are_drawn(tmp_path: Path) -> None:
    plots.dimension_errors(tmp_path / "bars.png", ["a"], {"x": [1.0], "y": [0.5]})
    plots.epochs(tmp_path / "epochs.png", [1.0], [1.1], 1)
    assert (tmp_path / "bars.png").stat().st_size > 1000
    assert (tmp_path / "epochs.png").stat().st_size > 1000
