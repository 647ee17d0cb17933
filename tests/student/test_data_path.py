"""From rows to the device: tokenised once, little padding, or none at all by packing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from distillery_core.dataset.rows import read_examples
from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.data import TextEncoder
from distillery_core.student.model_factory import build
from distillery_core.student.packing import can_pack, packed_logits, packs
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
        settings("bert", micro_batch_tokens=2000, bucket_by_length=True, batch_size=4),
    )
    assert 0 < bucketed.metadata["padding_waste"] <= 0.02
    assert bucketed.metadata["padding_waste"] == bucketed.history[0].padding_waste


def test_packed_articles_do_not_see_each_other(
    filter_: Filter, data_dir: Path, settings: Make
) -> None:
    built = build(settings("qwen2"), filter_.dimensions)
    encoder = TextEncoder(built.tokenizer, filter_.config.text, 64)
    articles = encoder.encode_examples(read_examples(data_dir / "val.jsonl")).articles[:7]
    expected = forward(built.model, articles, encoder.pad_token_id, 0)
    with torch.inference_mode():
        found = packed_logits(built.model.eval(), articles, torch.device("cpu"))
    assert found.numpy() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_packing_trains_the_same(
    method: str, filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    one = train(filter_, data_dir, tmp_path / "a", settings(method=method))
    packed = train(filter_, data_dir, tmp_path / "b", settings(method=method, packing=True))
    assert packed.metadata["packed"] is True
    assert packed.metadata["padding_waste"] == 0
    assert packed.history[0].running_loss == pytest.approx(one.history[0].running_loss, rel=1e-4)


def test_an_encoder_is_not_packed(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    assert not can_pack(build(settings("bert"), filter_.dimensions).model)
    with pytest.raises(UserError, match="packing needs a decoder"):
        train(filter_, data_dir, tmp_path / "out", settings("bert", packing=True))


def test_rows_are_filled_up_to_their_budget() -> None:
    lengths = [5, 9, 3, 20, 1]
    rows = packs(range(5), lengths, 10)
    assert rows == [[3], [1], [0, 2, 4]]
    assert sorted(p for row in rows for p in row) == list(range(5))
