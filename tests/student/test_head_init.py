"""How the head begins: fitted to the base as it is, or at the means of the labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student import head_init
from distillery_core.student.beginning import begin, open_accelerator
from distillery_core.student.computing.device import cpu_threads
from distillery_core.student.dataset_check import check_dataset
from distillery_core.student.heads import fit_ridge
from distillery_core.student.model_factory import inside_adapters, output_layer
from distillery_core.student.predict import forward
from distillery_core.student.run import Run
from distillery_core.student.settings import TrainSettings

Begin = Callable[..., tuple[Run, list[str]]]


@pytest.fixture
def begun(
    filter_: Filter,
    data_dir: Path,
    settings: Callable[..., TrainSettings],
    tmp_path: Path,
) -> Begin:
    def run(family: str = "qwen2", **overrides: object) -> tuple[Run, list[str]]:
        asked, said = settings(family, **{"head_init": "ridge", **overrides}), list[str]()
        torch.manual_seed(asked.seed)
        dataset = check_dataset(filter_, data_dir)
        accelerator = open_accelerator(asked)
        with cpu_threads(1):
            return begin(filter_, dataset, tmp_path, asked, accelerator, 1, said.append), said

    return run


def _unexplained(run: Run) -> float:
    """Share of the training labels' variance that the scores leave."""
    articles, labels = run.train.split.articles, run.train.split.labels
    found = forward(run.plain, articles, run.encoder.pad_token_id)
    return float(np.square(found - labels).mean() / labels.var(axis=0).mean())


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_first_scores_are_better_than_the_means(family: str, method: str, begun: Begin) -> None:
    run, said = begun(family, method=method)
    assert "Head: the base reads 96 training articles for a ridge regression" in said
    unfitted, said = begun(family, method=method, head_init="means")
    assert _unexplained(run) < 0.97 * _unexplained(unfitted)
    assert not any(line.startswith("Head:") for line in said)


def test_the_head_that_is_trained_is_the_one_that_is_fitted(begun: Begin) -> None:
    run, _ = begun("qwen2", method="lora")
    layer = output_layer(inside_adapters(run.plain))
    copies = [m for n, m in run.plain.named_modules() if n.endswith("modules_to_save.default")]
    assert copies == [layer]
    assert layer.weight.requires_grad


def test_only_so_many_articles_are_read_for_it(
    begun: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_init, "MOST_ARTICLES", 30)
    _, said = begun()
    assert "Head: the base reads 30 training articles for a ridge regression" in said


@pytest.mark.parametrize("few", [1, 2 * head_init.FOLDS - 1])
def test_too_few_articles_leave_the_head_as_it_was(
    few: int, begun: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_init, "MOST_ARTICLES", few)
    run, said = begun("bert")
    assert f"Head: begins at the means, {few} training articles are too few for a ridge" in said
    means = run.train.split.labels.mean(axis=0)
    assert output_layer(run.plain).bias.detach().numpy() == pytest.approx(means)


def test_a_base_that_gives_no_numbers_leaves_the_head_as_it_was(
    begun: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_init, "computed", lambda *_: torch.full((96, 32), float("nan")))
    run, said = begun("bert")
    assert said[-1] == "Head: begins at the means, the base gives no numbers"
    assert torch.isfinite(output_layer(run.plain).weight).all()


def test_memory_that_runs_out_before_the_first_step_is_named(
    begun: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_init, "computed", lambda *_: torch.empty(1 << 50))
    with pytest.raises(UserError, match="for the head, before step 1: 5 articles at a") as caught:
        begun("bert", micro_batch_tokens=320)
    assert "--tokens-per-batch 160" in str(caught.value.hint)


def test_features_that_are_nearly_the_same_get_no_steep_head() -> None:
    signal = np.random.default_rng(0).normal(size=(200, 4))
    features = (5.0 + 1e-3 * signal).astype(np.float32)
    labels = (5.0 + signal[:, :2]).astype(np.float32)
    assert fit_ridge(features, labels, intercept=True, seed=0).slope == pytest.approx(1000, rel=0.1)
    flat = fit_ridge(features, labels, intercept=True, seed=0, steepest=10.0)
    assert 0 < flat.slope <= 10
    none = fit_ridge(features, labels, intercept=True, seed=0, steepest=0.0)
    assert 0 < none.slope <= flat.slope


def test_the_first_head_is_no_steeper_than_a_few_random_ones(begun: Begin) -> None:
    slopes = []
    for how in ("means", "ridge"):
        run, _ = begun("bert", head_init=how)  # a pooler that was never trained
        slopes.append(float(output_layer(run.plain).weight.detach().norm(dim=1).max()))
    assert slopes[0] < slopes[1] <= head_init.STEEPEST * slopes[0] * 1.0001


def test_another_word_is_refused() -> None:
    with pytest.raises(UserError, match="head_init is 'zero', not one of means, ridge"):
        TrainSettings(head_init="zero")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no process has the whole base"):
        TrainSettings(head_init="ridge", fsdp=True)
