"""A tiny trained student and its filter, made once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery_core.dataset.prepare import prepare
from distillery_core.filters.filter import Filter
from distillery_core.student.settings import TrainSettings
from distillery_core.student.testing import labelled_rows, tiny_base, tiny_filter, write_rows
from distillery_core.student.training import train


@pytest.fixture(scope="session")
def filter_(tmp_path_factory: pytest.TempPathFactory) -> Filter:
    return tiny_filter(tmp_path_factory.mktemp("filters"))


@pytest.fixture(scope="session")
def model_dir(filter_: Filter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("student")
    labelled = write_rows(root / "labelled.jsonl", labelled_rows(filter_, 120))
    prepare(filter_, labelled, root / "data")
    settings = TrainSettings(
        model_name=str(tiny_base(root / "base", "bert")),
        max_length=64,
        epochs=1,
        learning_rate=5e-3,
        precision="float32",
        device="cpu",
        threads=1,
    )
    return train(filter_, root / "data", root / "out", settings).model_dir
