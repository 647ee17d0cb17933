"""Every family of bases: one article or many, padded left or right, eager or fused: one score."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from distillery_core.filters.filter import Filter
from distillery_core.student.computing.batches import pad
from distillery_core.student.data import Encoded, TextEncoder
from distillery_core.student.model_factory import Built, build
from distillery_core.student.planning.shape import base_config, describe_model, shape_of
from distillery_core.student.predict import forward
from distillery_core.student.settings import TrainSettings
from distillery_core.student.testing import DECODERS, Family, labelled_rows
from distillery_core.student.training import train

FAMILIES = get_args(Family)


@pytest.fixture(scope="module", params=FAMILIES)
def of_family(request: pytest.FixtureRequest, base: Callable[[str], Path]) -> tuple[str, Path]:
    return request.param, base(request.param)


def fresh(folder: Path, filter_: Filter, attention: str, side: str) -> Built:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding_side": side}))
    torch.manual_seed(0)
    settings = TrainSettings(model_name=str(folder), max_length=64, attention=attention)
    return build(settings, filter_.dimensions)


def encoded(built: Built, filter_: Filter) -> list[Encoded]:
    encoder = TextEncoder(built.tokenizer, filter_.config.text, 64)
    rows = labelled_rows(filter_, 9, seed=3)
    return encoder.encode((row["id"], row["title"], row["content"]) for row in rows)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_batched_is_single(
    of_family: tuple[str, Path], filter_: Filter, attention: str, side: str
) -> None:
    family, folder = of_family
    built = fresh(folder, filter_, attention, side)
    articles = encoded(built, filter_)
    pad_token_id = built.model.config.pad_token_id
    singly = forward(built.model, articles, pad_token_id, 0)
    assert np.ptp(singly, axis=0).min() > 1e-4, "the scores depend on the article"
    for budget in (150, 100_000):
        together = forward(built.model, articles, pad_token_id, budget)
        assert np.abs(together - singly).max() < 1e-4, budget
    if family in DECODERS:
        batch = pad(articles, pad_token_id, torch.device("cpu"), side)
        with torch.inference_mode():
            logits = built.model.eval()(input_ids=batch.input_ids, attention_mask=batch.mask).logits
        assert np.abs(logits.numpy() - singly).max() < 1e-4


def test_no_language_model_head_is_built(of_family: tuple[str, Path], filter_: Filter) -> None:
    built = fresh(of_family[1], filter_, "sdpa", "right")
    vocabulary = built.model.config.vocab_size
    outward = [m for m in built.model.modules() if isinstance(m, torch.nn.Linear)]
    assert all(module.out_features != vocabulary for module in outward)
    assert not any("lm_head" in name for name, _ in built.model.named_modules())


def test_the_shape_from_the_config_is_that_of_the_model(
    of_family: tuple[str, Path], filter_: Filter
) -> None:
    built = fresh(of_family[1], filter_, "sdpa", "right")
    shape = shape_of(str(of_family[1]), 3)
    assert shape == describe_model(built.model)
    assert shape.parameters == sum(p.numel() for p in built.model.parameters())
    assert shape.causal == (of_family[0] in DECODERS)


def test_a_folder_named_like_a_shipped_base_is_what_lies_in_it(
    base: Callable[[str], Path],
    filter_: Filter,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "Qwen/Qwen2.5-7B"
    monkeypatch.chdir(tmp_path)
    assert base_config(name).hidden_size == 3584
    shutil.copytree(base("qwen2"), name)
    assert base_config(name).hidden_size == 32
    settings = TrainSettings(
        model_name=name, max_length=64, epochs=1, precision="float32", device="cpu", threads=1
    )
    result = train(filter_, data_dir, tmp_path / "out", settings)
    assert result.metadata["method"] == "full", "auto takes it, since so small a base fits"
    built = build(settings, filter_.dimensions).model
    assert result.metadata["num_parameters"] == sum(p.numel() for p in built.parameters())
    assert 0 < (result.history[0].model_flops_utilisation or 0) < 1
