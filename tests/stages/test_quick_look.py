"""What `train` says at its end: by the metric that was chosen by, and never against a constant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distillery_core.dataset.prepare import prepare
from distillery_core.dataset.rows import read_examples
from distillery_core.stages.project import Project
from distillery_core.stages.quick_look import QuickLook, quick_look
from distillery_core.student.result import TrainResult
from distillery_core.student.selection import Chosen
from distillery_core.student.testing import labelled_rows, tiny_filter, write_rows
from tests.epochs import epoch_of

MORE = "more labels"
AGAIN = f"train again first ({MORE})"


@pytest.mark.parametrize(
    ("by", "val", "constant_mae", "told"),
    [
        ("mae", {"mae": 0.99}, 2.0, "validation MAE below 1.0: go on"),
        ("mae", {"mae": 1.5}, 2.0, "validation MAE between 1.0 and 1.5: go on with care"),
        ("mae", {"mae": 1.51}, 2.0, f"validation MAE above 1.5: {AGAIN}"),
        ("mae", {"mae": 0.6}, 0.53,
         f"validation MAE not below that of a constant (0.530): {AGAIN}"),
        ("mae", {"mae": 0.6, "spearman": -0.1}, 2.0,
         f"validation Spearman -0.100 is no skill: {AGAIN}"),
        ("spearman", {"mae": 0.609, "spearman": -0.022}, 0.53,
         f"validation Spearman -0.022 is no skill: {AGAIN}"),
        ("spearman", {"mae": 0.609, "spearman": None}, 2.0,
         f"there is no validation Spearman: {AGAIN}"),
        ("spearman", {"mae": 0.609, "spearman": 0.1}, 2.0,
         "validation Spearman 0.100 may be chance on 60 articles: go on with care"),
        ("spearman", {"mae": 0.609, "spearman": 0.1}, 0.5,
         f"validation MAE not below that of a constant (0.500): {AGAIN}"),
        ("spearman", {"mae": 0.609, "spearman": 0.6}, 0.5,
         "validation MAE not below that of a constant (0.500), though Spearman 0.600: "
         "let the evaluation decide"),
        ("spearman", {"mae": 0.609, "spearman": 0.6}, 2.0, "validation MAE below 1.0: go on"),
        ("recall", {"mae": 0.609, "needle_recall": 0.0}, 2.0,
         f"validation recall 0.000 is no skill: {AGAIN}"),
        ("recall", {"mae": 0.609, "needle_recall": 0.5}, 2.0, "validation MAE below 1.0: go on"),
    ],
)  # fmt: skip
def test_what_is_advised(
    by: Chosen, val: dict[str, float | None], constant_mae: float, told: str
) -> None:
    assert QuickLook(by, val, constant_mae, 60).advice(MORE) == told


def test_the_figures_name_what_was_chosen_by() -> None:
    val = {"mae": 0.609, "spearman": -0.022}
    assert QuickLook("mae", val, 1.0, 60).figures == "validation MAE 0.609"
    assert QuickLook("spearman", val, 1.0, 60).figures == "validation MAE 0.609, Spearman -0.022"


def test_a_run_is_compared_with_the_median_of_its_training_labels(tmp_path: Path) -> None:
    project = Project(tmp_path)
    tiny = tiny_filter(project.root / "filters")
    data = project.root / "data"
    prepare(tiny, write_rows(tmp_path / "rows.jsonl", labelled_rows(tiny, 80)), data)
    maes = enumerate([0.7, 0.4, 0.5], start=1)
    history = tuple(epoch_of(n, {"mae": error}, is_best=n < 3) for n, error in maes)
    look = quick_look(project, tiny, TrainResult(tmp_path, history, {"best_by": "mae"}), data)
    labels = {s: np.array([e.labels for e in read_examples(data / f"{s}.jsonl")])
              for s in ("train", "val")}  # fmt: skip
    errors = np.abs(labels["val"] - np.median(labels["train"], axis=0))
    assert (look.by, look.mae, look.articles) == ("mae", 0.4, len(labels["val"]))
    assert look.constant_mae == pytest.approx(errors.mean(), abs=1e-6)
    without = quick_look(project, tiny, TrainResult(tmp_path, (), {"best_val_mae": 0.8}), data)
    assert without.figures == "validation MAE 0.800", "a backend may keep no history"
