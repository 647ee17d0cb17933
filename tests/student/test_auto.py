"""What `auto` comes to: attention by device, pooling by the base, the same for plan and model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AttentionInterface

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.data import Encoded
from distillery_core.student.features import as_read
from distillery_core.student.model_factory import build
from distillery_core.student.planning import auto
from distillery_core.student.planning.auto import attention_of, pick_attention, pooling_of
from distillery_core.student.planning.plan import packs
from distillery_core.student.planning.shape import shape_of
from distillery_core.student.planning.target import target_for
from distillery_core.student.predict import forward
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train

Make = Callable[..., TrainSettings]
FLASH = "flash_attention_2"


@pytest.mark.parametrize(
    ("asked", "on_gpu", "has_flash", "in_bf16", "packs", "taken"),
    [
        ("auto", True, True, True, True, FLASH),
        ("auto", False, True, True, True, "sdpa"),
        ("auto", True, False, True, True, "sdpa"),
        ("auto", True, True, False, True, "sdpa"),
        ("auto", True, True, True, False, "sdpa"),
        ("sdpa", True, True, True, True, "sdpa"),
        ("eager", True, True, True, True, "eager"),
        ("flex_attention", True, True, True, True, "flex_attention"),
        (FLASH, False, False, False, False, FLASH),
    ],
)
def test_attention(
    asked: str, on_gpu: bool, has_flash: bool, in_bf16: bool, packs: bool, taken: str
) -> None:
    found = pick_attention(asked, on_gpu=on_gpu, has_flash=has_flash, in_bf16=in_bf16, packs=packs)
    assert found == taken


def test_a_decoder_is_packed_unasked_where_flash_attention_is_there(
    base: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "is_flash_attn_2_available", lambda: True)
    named = target_for("H100")
    here, old = replace(named, is_here=True), replace(target_for("T4"), is_here=True)
    asked = TrainSettings()
    decoder, encoder = (shape_of(str(base(family)), 3) for family in ("qwen2", "bert"))
    assert attention_of(asked, decoder, here) == FLASH
    assert packs(decoder, asked, here)
    for shape, settings, target in (
        (decoder, asked, named),  # whether flash attention is there, nobody knows
        (decoder, asked, old),
        (decoder, replace(asked, precision="float32"), here),
        (decoder, replace(asked, packing=False), here),
        (decoder, asked, replace(here, processes=2)),
        (encoder, asked, here),
    ):
        assert attention_of(settings, shape, target) == "sdpa"
    assert not packs(encoder, asked, here)


@pytest.mark.parametrize("method", ["full", "frozen"])
def test_flex_attention_on_a_cpu_is_refused(
    method: str, filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    asked = settings(attention="flex_attention", method=method)
    with pytest.raises(UserError, match="flex_attention trains only on a GPU"):
        train(filter_, data_dir, tmp_path, asked)
    assert not (tmp_path / "model").exists()


def test_a_misspelt_attention_is_refused() -> None:
    with pytest.raises(UserError, match="'flsh', not one of auto, sdpa, eager, flash_attention_2"):
        TrainSettings(attention="flsh")


def test_flash_attention_gives_way_to_what_computes_float32(
    filter_: Filter, settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an attention that refuses as flash attention would; what transformers does to load the
    real one is left out, since no machine without a GPU has it."""
    name = "flash_that_refuses"

    def refuse(*positional: object, **named: object) -> None:
        raise RuntimeError("only bf16")

    monkeypatch.setattr("transformers.modeling_utils.lazy_import_flash_attention", lambda *_: None)
    AttentionInterface.register(name, refuse)
    monkeypatch.setattr("distillery_core.student.settings.ATTENTIONS", ("auto", name))
    article = [Encoded("1", (5, 6, 7), cut=False)]
    torch.manual_seed(0)
    expected = forward(build(settings(), filter_.dimensions).model, article, 0)
    torch.manual_seed(0)
    model = build(settings(attention=name), filter_.dimensions).model
    with pytest.raises(RuntimeError, match="only bf16"):
        model(input_ids=torch.tensor([[5, 6, 7]]))
    assert np.array_equal(forward(model, article, 0), expected)
    assert model.config._attn_implementation == name


@pytest.mark.parametrize(
    ("family", "asked", "taken"),
    [
        ("bert", {"pooling": "mean"}, "mean"),
        ("bert", {"pooling": "mean", "method": "qlora"}, "mean"),
        ("bert", {"pooling": "mean", "method": "frozen"}, "mean"),
        ("bert", {"method": "frozen", "frozen_head": "mlp"}, "first"),
        ("bert", {"method": "frozen", "frozen_head": "mlp", "pooling": "mean"}, "first"),
        ("bert", {}, "first"),
        ("qwen2", {}, "first"),
    ],
)
def test_the_plan_counts_the_layers_that_are_built(
    family: str, asked: dict[str, str], taken: str, filter_: Filter, settings: Make
) -> None:
    given = settings(family, **asked)
    pooling = pooling_of(given)
    assert pooling == taken
    decided = replace(given, pooling=pooling)
    kind = "mean" if given.frozen_head == "mlp" else "head"
    built = build(as_read(decided, kind), filter_.dimensions)
    planned = shape_of(given.model_name, 3, pooling).layers
    assert planned == built.model.config.num_hidden_layers == (3 if taken == "mean" else 2)
