"""Every student backend, core's and plugins': what training and its result must be like."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification

from distillery_core.dataset.prepare import prepare
from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.plugins.manager import load_plugins
from distillery_core.student.predict import load_model, predict
from distillery_core.student.settings import TrainSettings
from distillery_core.student.testing import labelled_rows, tiny_base, tiny_filter, write_rows
from distillery_core.types import Article

BACKENDS = sorted(load_plugins().students)
SEED_METADATA = {
    *("filter_name", "filter_version", "dimension_names", "num_dimensions", "model_name"),
    *("num_parameters", "num_trainable_parameters", "epochs", "batch_size", "learning_rate"),
    *("max_length", "warmup_steps", "train_examples", "val_examples", "best_val_mae"),
}


@pytest.fixture(scope="module")
def filter_(tmp_path_factory: pytest.TempPathFactory) -> Filter:
    return tiny_filter(tmp_path_factory.mktemp("filters"))


@pytest.fixture(scope="module")
def root(filter_: Filter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("students")
    prepare(filter_, write_rows(root / "rows.jsonl", labelled_rows(filter_, 120)), root / "data")
    tiny_base(root / "base")
    return root


def backend(name: str) -> Callable[..., Any]:
    train: Callable[..., Any] = load_plugins().students[name].load()
    return train


def test_core_brings_one() -> None:
    assert "transformers" in BACKENDS


@pytest.mark.parametrize("name", BACKENDS)
def test_training_leaves_a_student_that_anybody_can_load(
    name: str, filter_: Filter, root: Path, tmp_path: Path
) -> None:
    settings = TrainSettings(
        model_name=str(root / "base"), max_length=64, epochs=2, learning_rate=5e-3, threads=1
    )
    lines: list[str] = []
    result = backend(name)(filter_, root / "data", tmp_path, settings, say=lines.append)
    history = json.loads((tmp_path / "training_history.json").read_text(encoding="utf-8"))
    record = json.loads((tmp_path / "training_metadata.json").read_text(encoding="utf-8"))
    assert [entry["epoch"] for entry in history] == [1, 2]
    assert set(record) >= SEED_METADATA
    assert record["best_val_mae"] == min(entry["val"]["mae"] for entry in history)
    assert result.model_dir == tmp_path / "model"
    assert any(line.startswith("New best validation MAE") for line in lines)

    plain = AutoModelForSequenceClassification.from_pretrained(result.model_dir)
    assert tuple(plain.config.id2label.values()) == filter_.dimensions
    articles = [Article(str(n), "", "hot fire " * n) for n in (1, 4, 20)]
    student = load_model(result.model_dir)
    together, singly = predict(student, articles), predict(student, articles, max_tokens=0)
    assert together.values.shape == (3, 3)
    assert np.abs(together.values - singly.values).max() < 1e-4


@pytest.mark.parametrize("name", BACKENDS)
def test_a_dataset_of_nothing_is_the_users_to_mend(
    name: str, filter_: Filter, root: Path, tmp_path: Path
) -> None:
    settings = TrainSettings(model_name=str(root / "base"), max_length=64)
    with pytest.raises(UserError):
        backend(name)(filter_, tmp_path, tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()
