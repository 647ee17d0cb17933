"""The gradient of embeddings, added to where tokens occur, beside torch's own."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    CanineConfig,
    CanineForSequenceClassification,
)

from distillery_core.filters.filter import Filter
from distillery_core.student.beginning import begin, open_accelerator
from distillery_core.student.computing.embedding_gradient import add_where_tokens_occur
from distillery_core.student.dataset_check import check_dataset
from distillery_core.student.settings import TrainSettings

ROWS, WIDTH = 12, 3
Pieces = list[list[int]]


class Base(nn.Module):
    """Embeddings, as transformers' models give and take them."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.words = embedding

    def get_input_embeddings(self) -> nn.Embedding:
        return self.words

    def set_input_embeddings(self, other: nn.Embedding) -> None:
        self.words = other


def embedding(**asked: Any) -> nn.Embedding:
    """The same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Embedding(ROWS, WIDTH, **asked)


def gradient_of(words: nn.Embedding, pieces: Pieces) -> Tensor:
    """After these pieces of a batch; not 0 for a state of 0, which the padding token's is."""
    for piece in pieces:
        ((words(torch.tensor([piece])) + 1) ** 3).sum().backward()
    assert words.weight.grad is not None
    return words.weight.grad.clone()


PIECE = st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=9)
STEP = st.lists(PIECE, min_size=1, max_size=3)


@pytest.mark.parametrize("padding", [None, 0])
@tried(deadline=None)
@given(steps=st.lists(STEP, min_size=1, max_size=4))
def test_each_steps_gradient_is_torchs_own(steps: list[Pieces], padding: int | None) -> None:
    """Whatever occurred in the steps before, and whatever was made of their gradient."""
    usual = embedding(padding_idx=padding)
    model = Base(embedding(padding_idx=padding))
    add_where_tokens_occur(model)
    assert type(model.words) is not nn.Embedding
    for pieces in steps:
        expected = gradient_of(usual, pieces)
        torch.testing.assert_close(gradient_of(model.words, pieces), expected)
        for words in (usual, model.words):
            nn.utils.clip_grad_norm_([words.weight], 0.1)
            words.zero_grad()


def test_the_memory_of_a_steps_gradient_is_the_next_ones() -> None:
    model = Base(embedding())
    add_where_tokens_occur(model)
    found = []
    for piece in ([1, 2, 2], [5]):
        gradient_of(model.words, [piece])
        assert model.words.weight.grad is not None
        found.append(model.words.weight.grad.data_ptr())
        model.words.zero_grad(set_to_none=True)
    assert found[0] == found[1]


def test_a_sum_that_was_cut_off_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where memory runs out and fewer articles are tried."""
    model = Base(embedding())
    add_where_tokens_occur(model)
    with monkeypatch.context() as patched, pytest.raises(MemoryError):
        patched.setattr(Tensor, "index_add_", _added_and_cut_off)
        gradient_of(model.words, [[1, 2]])
    model.words.zero_grad()
    torch.testing.assert_close(gradient_of(model.words, [[5]]), gradient_of(embedding(), [[5]]))


def _added_and_cut_off(into: Tensor, dim: int, rows: Tensor, found: Tensor) -> Tensor:
    into.index_put_((rows,), found, accumulate=True)
    raise MemoryError


def test_evaluation_has_the_memory() -> None:
    model = Base(embedding())
    add_where_tokens_occur(model)
    gradient_of(model.words, [[1, 2]])
    assert model.words.weight.grad is not None
    held = weakref.ref(model.words.weight.grad)
    model.zero_grad()
    assert held() is not None
    model.eval()
    assert held() is None
    model.train()
    torch.testing.assert_close(gradient_of(model.words, [[5]]), gradient_of(embedding(), [[5]]))


def test_a_base_without_one_vocabulary_stays() -> None:
    """CANINE hashes characters into several tables."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = CanineForSequenceClassification(CanineConfig(**sizes, intermediate_size=16))
    before = [type(module) for module in model.modules()]
    with pytest.raises(NotImplementedError):
        model.get_input_embeddings()
    add_where_tokens_occur(model)
    assert [type(module) for module in model.modules()] == before


@pytest.mark.parametrize(
    "asked", [{"max_norm": 1.0}, {"scale_grad_by_freq": True}, {"sparse": True}]
)
def test_embeddings_with_a_mind_of_their_own_stay(asked: dict[str, Any]) -> None:
    model = Base(embedding(**asked))
    add_where_tokens_occur(model)
    assert type(model.words) is nn.Embedding


def test_frozen_embeddings_stay() -> None:
    model = Base(embedding())
    model.words.weight.requires_grad_(False)
    add_where_tokens_occur(model)
    assert type(model.words) is nn.Embedding


@pytest.mark.parametrize("family", ["bert", "qwen2"])
def test_a_model_keeps_its_names_and_weights(
    family: str, base: Callable[[str], Path], tmp_path: Path
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(base(family), num_labels=2)
    before = dict(model.named_parameters())
    add_where_tokens_occur(model)
    after = dict(model.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert all(torch.equal(again.state_dict()[name], after[name]) for name in after)


@pytest.mark.parametrize(("method", "gathers"), [("full", True), ("lora", False)])
def test_a_run_on_a_cpu_gathers_what_it_trains(
    method: str,
    gathers: bool,
    filter_: Filter,
    data_dir: Path,
    settings: Callable[..., TrainSettings],
    tmp_path: Path,
) -> None:
    asked = settings("bert", method=method)
    dataset, accelerator = check_dataset(filter_, data_dir), open_accelerator(asked)
    run = begin(filter_, dataset, tmp_path, asked, accelerator, 1, say=lambda line: None)
    found = run.plain.get_input_embeddings()
    assert (type(found) is not nn.Embedding) == gathers
