from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.filters.filter import Filter
from distillery_core.student.plain import largest_difference, special_tokens
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train


@pytest.fixture(scope="module", params=["qwen2", "bert"])
def model(
    request: pytest.FixtureRequest,
    filter_: Filter,
    data_dir: Path,
    base: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    settings = TrainSettings(
        model_name=str(base(request.param)), max_length=64, epochs=1, batch_size=8,
        learning_rate=5e-3, precision="float32", device="cpu", threads=1,
    )  # fmt: skip
    train(filter_, data_dir, folder, settings)
    return folder / "model"


def test_plain_transformers_predicts_the_same(model: Path) -> None:
    assert largest_difference(model, model) <= 1e-4


def test_another_head_is_noticed(model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    weights = load_file(copy / "model.safetensors")
    name = next(name for name in weights if name.startswith(("score.", "classifier.")))
    save_file({**weights, name: weights[name] + 0.5}, copy / "model.safetensors", {"format": "pt"})
    assert largest_difference(model, copy) > 0.1


def test_the_tokens_around_a_text(model: Path) -> None:
    before, after = special_tokens(model)
    assert (len(before), len(after)) in {(0, 0), (1, 1)}
