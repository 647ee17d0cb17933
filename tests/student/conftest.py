"""A tiny filter, its prepared dataset and tiny bases, made once per session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.dataset.prepare import prepare
from distillery_core.filters.filter import Filter
from distillery_core.student.settings import TrainSettings
from distillery_core.student.testing import labelled_rows, tiny_base, tiny_filter, write_rows


@pytest.fixture(scope="session")
def filter_(tmp_path_factory: pytest.TempPathFactory) -> Filter:
    return tiny_filter(tmp_path_factory.mktemp("filters"))


@pytest.fixture(scope="session")
def data_dir(filter_: Filter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("datasets")
    labelled = write_rows(root / "labelled.jsonl", labelled_rows(filter_, 120))
    prepare(filter_, labelled, root / "tiny")
    return root / "tiny"


@pytest.fixture(scope="session", params=["qwen2", "bert"])
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def of(family: str) -> Path:
        if family not in made:
            made[family] = tiny_base(tmp_path_factory.mktemp("bases") / family, family)
        return made[family]

    return of


@pytest.fixture
def settings(base: Callable[[str], Path]) -> Callable[..., TrainSettings]:
    """Settings that train the tiny Qwen2 in about a second, in plain float32."""

    def make(family: str = "qwen2", **overrides: object) -> TrainSettings:
        chosen: dict[str, object] = {
            "model_name": str(base(family)),
            "max_length": 64,
            "epochs": 1,
            "batch_size": 8,
            "learning_rate": 5e-3,
            "precision": "float32",
            "device": "cpu",
            "threads": 1,
        }
        return TrainSettings(**{**chosen, **overrides})  # type: ignore[arg-type]

    return make
