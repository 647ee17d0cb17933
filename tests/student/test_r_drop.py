"""R-Drop: each article twice with other dropout, and what differs in the loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distillery_core.errors import UserError, UserErrors
from distillery_core.filters.filter import Filter
from distillery_core.student import training_step
from distillery_core.student.beginning import begin, open_accelerator
from distillery_core.student.computing.batches import pad
from distillery_core.student.computing.device import cpu_threads
from distillery_core.student.dataset_check import check_dataset
from distillery_core.student.run import Run
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train_epoch
from distillery_core.student.training_step import loss_share
from distillery_core.types import silent

Begin = Callable[..., Run]


@pytest.fixture
def begun(
    filter_: Filter, data_dir: Path, settings: Callable[..., TrainSettings], tmp_path: Path
) -> Begin:
    def run(family: str = "bert", **overrides: object) -> Run:
        asked = settings(family, **{"dropout": 0.3, **overrides})
        torch.manual_seed(asked.seed)
        dataset, accelerator = check_dataset(filter_, data_dir), open_accelerator(asked)
        with cpu_threads(1):
            return begin(filter_, dataset, tmp_path, asked, accelerator, 1, lambda line: None)

    return run


def _apart(run: Run) -> float:
    """Mean squared distance of an article's scores under two draws of dropout."""
    run.plain.train()
    batch = pad(run.val.split.articles, run.encoder.pad_token_id, run.device)
    with torch.inference_mode():
        one, other = (
            run.plain(input_ids=batch.input_ids, attention_mask=batch.mask).logits for _ in "12"
        )
    return float(torch.square(one - other).mean())


def test_what_is_learned_depends_less_on_dropout(begun: Begin) -> None:
    apart = {}
    for weight in (0.0, 10.0):
        run = begun(r_drop=weight, learning_rate=3e-3)
        for epoch in (1, 2):
            train_epoch(run, epoch, silent, lambda line: None)
            run.position = replace(run.position, batch=0)
        apart[weight] = _apart(run)
    assert apart[10.0] < 0.7 * apart[0.0]


@pytest.mark.parametrize("packing", [True, False])
def test_the_loss_is_that_of_both_draws_and_their_distance(packing: bool, begun: Begin) -> None:
    run, piece = begun(r_drop=2.0, packing=packing), [0, 1, 2, 3]
    run.plain.train()
    torch.manual_seed(7)
    share = float(loss_share(run, piece, piece).detach())
    torch.manual_seed(7)
    found = training_step._logits(run, [run.train.split.articles[p] for p in piece * 2])
    seen = found.detach().numpy().reshape(2, 4, -1)
    labels = run.train.split.labels[piece]
    wanted = np.square(seen - labels).mean() + 2.0 * np.square(seen[0] - seen[1]).mean()
    assert np.abs(seen[0] - seen[1]).max() > 1e-3
    assert share == pytest.approx(float(wanted), rel=1e-4)


def test_two_draws_take_the_room_and_the_work_of_two_articles(begun: Begin) -> None:
    once, twice = begun(micro_batch_tokens=200), begun(micro_batch_tokens=200, r_drop=1.0)
    everything = list(range(len(once.lengths)))
    assert all(sum(once.lengths[p] for p in piece) <= 100 for piece in twice.cut(everything))
    assert any(sum(once.lengths[p] for p in piece) > 100 for piece in once.cut(everything))
    assert twice.flops == 2 * once.flops
    assert twice.batches(1) == once.batches(1)


def test_without_dropout_it_is_refused() -> None:
    with pytest.raises(UserError, match=r"r_drop is 1\.0 and dropout 0") as caught:
        TrainSettings(r_drop=1.0)
    assert caught.value.hint == "dropout: 0.1"
    assert TrainSettings(r_drop=1.0, dropout=None).draws == 2
    assert TrainSettings(r_drop=1.0, method="frozen").draws == 2, "frozen does not read it"
    with pytest.raises(UserErrors, match="r_drop is -1"):
        TrainSettings(r_drop=-1.0, weight_decay=-1.0)


@pytest.mark.parametrize(
    ("family", "overrides"),
    [("qwen2", {"dropout": None}), ("qwen2", {"method": "full", "lora_dropout": 0.1})],
)
def test_a_base_that_drops_nothing_is_refused(
    family: str, overrides: dict[str, object], begun: Begin
) -> None:
    with pytest.raises(UserError, match="drops nothing out of itself"):
        begun(family, **{"dropout": 0.0, **overrides}, r_drop=1.0)


def test_the_adapters_dropout_is_enough(begun: Begin) -> None:
    assert begun("qwen2", method="lora", dropout=0.0, lora_dropout=0.1, r_drop=1.0)
