"""From rows to the device: tokenised once, little padding, or none at all by packing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoConfig, AutoModelForSequenceClassification, PretrainedConfig

from distillery_core.dataset.rows import read_examples
from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.computing import attention
from distillery_core.student.computing.packing import (
    attend_by_article,
    attends_by_article,
    can_pack,
    packed_logits,
    packs,
    packs_by_default,
)
from distillery_core.student.data import TextEncoder
from distillery_core.student.model_factory import build
from distillery_core.student.predict import forward
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train

Make = Callable[..., TrainSettings]


def test_articles_are_tokenised_once(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build(settings(), filter_.dimensions)
    encoder = TextEncoder(built.tokenizer, filter_.config.text, 64)
    examples = read_examples(data_dir / "val.jsonl")
    first = encoder.encode_examples(examples, str(tmp_path))
    other = TextEncoder(built.tokenizer, filter_.config.text, 32)
    assert other.encode_examples(examples, str(tmp_path)).tokens < first.tokens, "another length"
    monkeypatch.setattr(encoder, "encode", lambda _: pytest.fail("tokenised again"))
    again = encoder.encode_examples(examples, str(tmp_path))
    assert again.articles == first.articles
    assert (again.labels == first.labels).all()
    with pytest.raises(pytest.fail.Exception):
        encoder.encode_examples(examples[1:], str(tmp_path))


def test_padding_waste_is_in_the_record_and_small(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    """Nothing is padded where nothing is asked for; bucketed batches stay within 2 %."""
    plain = train(filter_, data_dir, tmp_path / "a", settings("bert"))
    assert plain.metadata["padding_waste"] == 0
    bucketed = train(
        filter_,
        data_dir,
        tmp_path / "b",
        settings(
            "bert", packing=False, micro_batch_tokens=2000, bucket_by_length=True, batch_size=4
        ),
    )
    assert 0 < bucketed.metadata["padding_waste"] <= 0.02
    assert bucketed.metadata["padding_waste"] == bucketed.history[0].padding_waste


@pytest.mark.parametrize(
    ("family", "by_article"),
    # An encoder takes borders from attention.py alone.
    [("qwen2", True), ("qwen2", False), ("qwen3", True), ("qwen3", False), ("bert", True)],
)
def test_packed_articles_do_not_see_each_other(
    family: str, by_article: bool, filter_: Filter, data_dir: Path, settings: Make
) -> None:
    built = build(settings(family), filter_.dimensions)
    encoder = TextEncoder(built.tokenizer, filter_.config.text, 64)
    articles = encoder.encode_examples(read_examples(data_dir / "val.jsonl")).articles[:7]
    expected = forward(built.model, articles, encoder.pad_token_id, 0)
    if by_article:
        attend_by_article(built.model)
        padded = forward(built.model, articles, encoder.pad_token_id, 1000)
        assert padded == pytest.approx(expected, abs=1e-4)
    with torch.inference_mode():
        found = packed_logits(built.model.eval(), articles, torch.device("cpu"))
    assert found.numpy() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("family", "method"), [("qwen2", "full"), ("qwen2", "lora"), ("bert", "full"), ("bert", "lora")]
)
def test_packing_trains_the_same(
    family: str, method: str, filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    asked = settings(family, method=method)
    one = train(filter_, data_dir, tmp_path / "a", replace(asked, packing=False))
    packed = train(filter_, data_dir, tmp_path / "b", asked)
    assert (one.metadata["packed"], packed.metadata["packed"]) == (False, True)
    assert packed.metadata["padding_waste"] == 0
    assert packed.history[0].running_loss == pytest.approx(one.history[0].running_loss, rel=1e-4)


@pytest.mark.parametrize("family", ["modernbert", "deberta", "gemma2", "gemma3"])
def test_bases_with_attention_of_their_own_keep_it(
    family: str, filter_: Filter, settings: Make
) -> None:
    model = build(settings(family), filter_.dimensions).model
    assert not attends_by_article(model, "sdpa", torch.device("cpu"))


@pytest.mark.parametrize(
    ("kind", "by_article", "at_all"),
    [
        ({"model_type": "qwen2"}, True, True),
        ({"model_type": "mistral", "sliding_window": None}, True, True),
        ({"model_type": "mistral", "sliding_window": 8}, False, True),
        ({"model_type": "qwen3_5_text"}, False, False),
        ({"model_type": "jamba"}, False, False),
        ({"model_type": "opt"}, False, False),
    ],
)
def test_only_decoders_that_carry_nothing_over_a_border_are_packed(
    kind: dict[str, Any], by_article: bool, at_all: bool
) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.device("meta"):
        config = AutoConfig.for_model(**kind, **small, num_labels=3)
        model = AutoModelForSequenceClassification.from_config(config)
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert attends_by_article(model, "sdpa", cpu) == by_article
    assert packs_by_default(model, "sdpa", cpu) == by_article
    assert can_pack(model, "sdpa", cpu) == at_all
    assert packs_by_default(model, "flash_attention_2", gpu) == at_all


def test_an_encoder_of_another_kind_cannot_be_packed(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="packing needs a decoder"):
        train(filter_, data_dir, tmp_path / "out", settings("modernbert", packing=True))


def test_articles_that_are_cut_alike_attend_together_or_alone_the_same() -> None:
    """Equal lengths beside each other, too many to be computed at a time; one above the limit of
    the plain products; shared keys; in the last layer what is read is the same, the rest 0."""
    torch.manual_seed(0)
    lengths = (800, 300, 300, 300, 300, 7, 7, 5, 3, 3)
    query, key, value = (torch.randn(1, heads, sum(lengths), 8) for heads in (4, 2, 2))
    ends = torch.tensor(lengths).cumsum(0)
    for causal in (True, False):
        parts = zip(*(part.split(lengths, dim=2) for part in (query, key, value)), strict=True)
        alone = [
            scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)
            for q, k, v in parts
        ]
        expected = torch.cat(alone, dim=2).transpose(1, 2)
        read = ends - 1 if causal else ends - torch.tensor(lengths)
        for layer in (0, 1):
            found, _ = attention.attend_by_article(
                _layer(layer, causal), query, key, value, None,
                articles=attention.Articles(lengths, reads_last=causal),
            )  # fmt: skip
            if layer == 0:
                torch.testing.assert_close(found, expected)
            else:
                torch.testing.assert_close(found[:, read], expected[:, read])
                assert int(found.abs().sum((0, 2, 3)).count_nonzero()) == len(lengths)


def _layer(index: int, causal: bool) -> Any:
    """The attention of a layer of two."""
    config = PretrainedConfig(num_hidden_layers=2)
    return SimpleNamespace(is_causal=causal, layer_idx=index, config=config)


def test_rows_are_filled_up_to_their_budget() -> None:
    lengths = [5, 9, 3, 20, 1]
    rows = packs(range(5), lengths, 10)
    assert rows == [[3], [1], [0, 2, 4]]
    assert sorted(p for row in rows for p in row) == list(range(5))
