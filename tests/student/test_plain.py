from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.filters.filter import Filter
from distillery_core.reports.hub_card import Card, Licence, Reading, usage
from distillery_core.student.plain import largest_difference, special_tokens
from distillery_core.student.predict import load_model, predict
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train
from distillery_core.types import Article


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


DIRTY = (
    Article("1", "hot race", "bang shout fire race hot warm. \n \t"),
    Article("2", " Cafe\u0301\nhot ", "loud\r\nfast\rfire e\u0301 rush\x07 bang"),
    Article("3", "\u3000", "race rush loud " * 40 + "\r\n"),
)
"""White space around it, CRLF, an accent of its own, a control character; the last is cut."""


def test_the_cards_snippet_reads_an_untidy_text_as_distillery_does(
    model: Path, filter_: Filter, capsys: pytest.CaptureFixture[str]
) -> None:
    """A decoder's head reads the last token, where trailing space would be."""
    before, after = special_tokens(model)
    text = filter_.config.text
    reading = Reading(64, text.max_chars, text.head_share, tuple(before), tuple(after), False)
    card = Card("a/b", filter_, Licence("mit"), reading, "x", {}, None, None, False)
    names: dict[str, Any] = {}
    exec(usage(card).replace('REPO = "a/b"', f"REPO = {str(model)!r}"), names)
    rows = predict(load_model(model, "cpu"), DIRTY).values
    assert ((rows > 0) & (rows < 10)).any(axis=1).all(), "clipped scores would hide a difference"
    for article, row in zip(DIRTY, rows, strict=True):
        found = names["score"](article.title, article.content)
        assert list(found.values()) == pytest.approx(row.tolist(), abs=1e-4)
