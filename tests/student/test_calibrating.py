"""Training ends with a score calibration that the loaded model applies and the record names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distillery_core.dataset.prepare import prepare
from distillery_core.dataset.rows import Example, read_examples
from distillery_core.filters.filter import Filter
from distillery_core.filters.text_view import pattern_text
from distillery_core.student.calibrating import calibrate_saved
from distillery_core.student.dataset_check import check_dataset
from distillery_core.student.measures.bootstrap import Interval, paired_average_precision
from distillery_core.student.measures.finding import overall_scores
from distillery_core.student.measures.score_calibration import CALIBRATION, coverage_of
from distillery_core.student.model_folder import model_sha256
from distillery_core.student.predict import Student, load_model, predict
from distillery_core.student.result import TrainResult
from distillery_core.student.settings import TrainSettings
from distillery_core.student.testing import labelled_rows, tiny_base, tiny_filter, write_rows
from distillery_core.student.training import train

pytestmark = pytest.mark.slow


def _trained(root: Path, rows: int, said: list[str]) -> TrainResult:
    filter = tiny_filter(root / "filters")
    labelled = write_rows(root / "labelled.jsonl", labelled_rows(filter, rows))
    prepare(filter, labelled, root / "data", (0.4, 0.3, 0.3))
    settings = TrainSettings(
        model_name=str(tiny_base(root / "base", "bert")),
        max_length=64,
        epochs=1,
        learning_rate=5e-3,
        precision="float32",
        device="cpu",
        threads=1,
    )
    return train(filter, root / "data", root / "out", settings, say=said.append)


def test_enough_articles_give_maps_and_intervals(tmp_path: Path) -> None:
    said: list[str] = []
    result = _trained(tmp_path, 760, said)
    record = json.loads((tmp_path / "out" / "training_metadata.json").read_text())
    assert record == result.metadata
    assert record["hashes"]["model_sha256"] == model_sha256(result.model_dir)
    assert record["score_calibration"]["rows"] >= 200
    assert "90% intervals" in said[-1]

    student = load_model(result.model_dir)
    test = list(read_examples(tmp_path / "data" / "test.jsonl"))
    labels = np.array([one.labels for one in test], dtype=np.float32)
    values = predict(student, test, threads=1).values
    assert student.calibration is not None
    ends = student.calibration.intervals(values)
    assert ends is not None
    assert 0.8 < float(np.mean(coverage_of(*ends, labels))) < 0.98
    own = predict(student, test, threads=1, calibrated=False).values
    assert (student.calibration.map is None) is np.array_equal(values, own)

    filter = tiny_filter(tmp_path / "filters")
    dataset = replace(check_dataset(filter, tmp_path / "data"), kind="needle")
    settings = TrainSettings(device="cpu", threads=1)
    calibrate_saved(result, filter, dataset, tmp_path / "out", settings, said.append)
    change = _found_better(filter, load_model(result.model_dir), dataset.val)
    assert change is None or change.high >= 0, "a needle filter finds no worse than without maps"


def _found_better(filter: Filter, student: Student, val: Sequence[Example]) -> Interval | None:
    """Average precision of the scores as deployed minus that of the model's own."""
    texts = [pattern_text(one.title, one.content) for one in val]
    labels = np.array([one.labels for one in val], dtype=np.float32)
    positive = overall_scores(filter, labels, texts) >= filter.operating_point
    deployed, own = (
        overall_scores(filter, predict(student, val, threads=1, calibrated=kept).values, texts)
        for kept in (True, False)
    )
    return paired_average_precision(positive, deployed, own)


def test_too_few_articles_give_none(tmp_path: Path) -> None:
    said: list[str] = []
    result = _trained(tmp_path, 90, said)
    assert not (result.model_dir / CALIBRATION).exists()
    assert said[-1].startswith("No calibration: ")
    assert said[-1].endswith("maps need 200; no intervals")
    assert result.metadata["score_calibration"]["map"] is None
    assert "coverage" not in result.metadata["score_calibration"], "there are no intervals"
