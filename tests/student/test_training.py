"""Training: pinned numbers, accumulation, guards that fire, what a run leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters.filter import Filter
from distillery_core.student import saving, training
from distillery_core.student.arrangement import arrange
from distillery_core.student.model_folder import model_sha256
from distillery_core.student.optimisation import warmup_used
from distillery_core.student.predict import load_model, predict
from distillery_core.student.result import TrainResult
from distillery_core.student.run_articles import train_evaluated
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train
from distillery_core.types import Article

Make = Callable[..., TrainSettings]

PINNED_LOSS = 23.38
"""Mean batch loss of the tiny Qwen2's first epoch."""


def run(filter_: Filter, data_dir: Path, out: Path, settings: TrainSettings) -> TrainResult:
    return train(filter_, data_dir, out, settings)


@pytest.fixture(scope="session")
def trained(
    filter_: Filter,
    data_dir: Path,
    base: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[TrainResult, list[str]]:
    """Four epochs of the tiny Qwen2, which are enough to begin to count."""
    settings = TrainSettings(
        model_name=str(base("qwen2")),
        max_length=64,
        epochs=4,
        batch_size=8,
        learning_rate=1e-2,
        precision="float32",
        device="cpu",
        threads=1,
        train_eval_articles=40,
    )
    lines: list[str] = []
    out = tmp_path_factory.mktemp("trained")
    return train(filter_, data_dir, out, settings, say=lines.append), lines


def test_it_learns(trained: tuple[TrainResult, list[str]]) -> None:
    first, *_, last = [record.val_mae for record in trained[0].history]
    assert last < 0.85 * first


def test_history_has_the_seeds_shape(trained: tuple[TrainResult, list[str]]) -> None:
    result, _ = trained
    history = json.loads((result.model_dir.parent / "training_history.json").read_text())
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4]
    for split in ("train", "val"):
        assert {"loss", "mae", "rmse", "heat_mae", "speed_rmse"} <= set(history[0][split])
    assert history[-1]["learning_rate"] == pytest.approx(0.0, abs=1e-9)
    assert history[0]["padding_waste"] == 0.0


def test_metadata_says_what_was_made_from_what(
    trained: tuple[TrainResult, list[str]], filter_: Filter
) -> None:
    result, _ = trained
    written = json.loads((result.model_dir.parent / "training_metadata.json").read_text())
    assert written == result.metadata
    assert written["complete"] is True
    assert written["best_val_mae"] == min(r.val_mae for r in result.history) == result.best_val_mae
    assert written["hashes"]["model_sha256"] == model_sha256(result.model_dir)
    assert written["hashes"]["filter_digest"] == filter_.digest
    assert written["num_parameters"] == written["num_trainable_parameters"] > 10_000
    assert written["train_evaluated_on"] == {"articles": 40, "mode": "evaluation"}
    assert (written["warmup_steps_asked"], written["warmup_steps"]) == (500, 4)


def test_live_report_reads_as_in_the_seed(trained: tuple[TrainResult, list[str]]) -> None:
    result, lines = trained
    assert "Epoch 1/4" in lines
    assert any(line.startswith("New best validation MAE: ") for line in lines)
    assert f"  Model saved to: {result.model_dir}" in lines
    assert any("10 % of" in line for line in lines)


def test_the_model_folder_loads_with_plain_transformers(
    trained: tuple[TrainResult, list[str]], filter_: Filter
) -> None:
    result, _ = trained
    assert not list(result.model_dir.glob("*.bin"))
    model = AutoModelForSequenceClassification.from_pretrained(result.model_dir)
    tokenizer = AutoTokenizer.from_pretrained(result.model_dir)
    assert list(model.config.id2label.values()) == list(filter_.dimensions)
    article = Article("a", "hot", "fire fire loud fast rush")
    with torch.inference_mode():
        plain = model(**tokenizer("hot\n\nfire fire loud fast rush", return_tensors="pt")).logits
    ours = predict(load_model(result.model_dir), [article])
    assert ours.values[0] == pytest.approx(plain[0].numpy().clip(0, 10), abs=1e-4)


def test_saved_validation_figures_are_those_of_the_saved_model(
    trained: tuple[TrainResult, list[str]], data_dir: Path
) -> None:
    from distillery_core.dataset.rows import read_examples

    result, _ = trained
    examples = read_examples(data_dir / "val.jsonl")
    found = predict(load_model(result.model_dir), examples).values
    labels = np.array([example.labels for example in examples])
    assert np.abs(found - labels).mean() == pytest.approx(result.best_val_mae, abs=1e-5)


def test_the_same_seed_gives_the_same_bytes(
    filter_: Filter, data_dir: Path, settings: Make, family: str, tmp_path: Path
) -> None:
    first, second = (
        run(filter_, data_dir, tmp_path / name, settings(family)) for name in ("a", "b")
    )
    other = run(filter_, data_dir, tmp_path / "c", settings(family, seed=7))
    weights = [load_file(r.model_dir / "model.safetensors") for r in (first, second, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert any(not torch.equal(weights[0][name], weights[2][name]) for name in weights[0])
    assert first.history[0].val == second.history[0].val


def test_numbers_are_pinned_with_and_without_accumulation(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    """Packed, one article at a time, two or so, and whole batches padded: the same run."""
    runs = [
        run(
            filter_,
            data_dir,
            tmp_path / str(micro),
            settings(micro_batch_tokens=micro, bucket_by_length=True, packing=packing),
        )
        for micro, packing in ((None, None), (0, False), (150, False), (100_000, False))
    ]
    assert [one.metadata["packed"] for one in runs] == [True, False, False, False]
    losses = [result.history[0].running_loss for result in runs]
    assert losses == pytest.approx([losses[0]] * 4, abs=2e-3)
    assert losses[0] == pytest.approx(PINNED_LOSS, abs=0.05)
    maes = [result.best_val_mae for result in runs]
    assert maes == pytest.approx([maes[0]] * 4, abs=5e-3)
    assert runs[0].history[0].padding_waste == 0.0 < runs[3].history[0].padding_waste < 0.1


@pytest.mark.parametrize("packing", [None, False])
def test_how_pieces_are_cut_decides_no_step(
    packing: bool | None, filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    """Packed and padded: --tokens-per-batch and --batch-size auto leave the batches as they are."""
    cuts: list[dict[str, object]] = [{}, {"micro_batch_tokens": 256}, {"fit_batch": True}]
    runs = [
        run(filter_, data_dir, tmp_path / str(number), settings(packing=packing, **cut))
        for number, cut in enumerate(cuts)
    ]
    assert [one.metadata["micro_batch_tokens"] for one in runs] == [512, 256, 512]
    assert not any(one.metadata["bucketed_by_length"] for one in runs)
    losses = [one.history[0].running_loss for one in runs]
    assert losses == pytest.approx([losses[0]] * len(cuts), rel=1e-4)


@pytest.mark.parametrize("cut", [{}, {"micro_batch_tokens": 256}, {"fit_batch": True}])
@pytest.mark.parametrize(("device", "asked", "bucketed"), [
    ("cpu", None, False), ("cpu", True, True), ("cuda", None, True), ("cuda", False, False),
])  # fmt: skip
def test_batches_are_of_like_length_on_a_gpu_or_where_that_is_asked_for(
    device: str, asked: bool | None, bucketed: bool, cut: dict[str, Any]
) -> None:
    chosen = TrainSettings(attention="eager", packing=False, bucket_by_length=asked, **cut)
    where: Any = SimpleNamespace(device=torch.device(device), num_processes=1)
    assert arrange(chosen, 0, None, where).bucketed is bucketed


def test_bf16_learns_the_same_but_for_rounding(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    exact = run(filter_, data_dir, tmp_path / "a", settings())
    rough = run(filter_, data_dir, tmp_path / "b", settings(precision="bf16"))
    assert rough.metadata["precision"] == "bf16"
    assert rough.history[0].running_loss == pytest.approx(exact.history[0].running_loss, rel=0.05)
    assert load_file(rough.model_dir / "model.safetensors")["score.weight"].dtype == torch.float32


def test_a_rate_that_explodes_stops_with_the_articles_named(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    with pytest.raises(CheckFailed, match=r"training stopped at step \d+") as caught:
        run(filter_, data_dir, tmp_path, settings(learning_rate=1e30, warmup_steps=0))
    assert any(reason.startswith("articles t") for reason in caught.value.reasons)
    assert not list(tmp_path.glob("**/model"))


def test_a_run_that_is_cut_off_leaves_the_best_so_far(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_epoch = training.train_epoch

    def stop_in_epoch_2(run, epoch, progress, say):  # type: ignore[no-untyped-def]
        if epoch == 2:
            raise KeyboardInterrupt
        return true_epoch(run, epoch, progress, say)

    monkeypatch.setattr(training, "train_epoch", stop_in_epoch_2)
    with pytest.raises(KeyboardInterrupt):
        run(filter_, data_dir, tmp_path, settings(epochs=2))
    written = json.loads((tmp_path / "training_metadata.json").read_text())
    assert written["complete"] is False
    assert written["epochs_run"] == 1
    assert written["hashes"]["model_sha256"] == model_sha256(tmp_path / "model")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("model", "training_config.yaml", "training_history.json", "training_metadata.json")
    ]


def test_a_model_that_reads_back_differently_is_not_saved(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(folder, device):  # type: ignore[no-untyped-def]
        student = load_model(folder, device)
        with torch.no_grad():
            student.model.score.weight.add_(0.01)
        return student

    monkeypatch.setattr(saving, "load_model", damaged)
    with pytest.raises(CheckFailed, match="predicts differently when loaded"):
        run(filter_, data_dir, tmp_path, settings())
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_every_step(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    seen: list[tuple[int, int | None]] = []
    result = train(
        filter_,
        data_dir,
        tmp_path,
        settings(),
        progress=lambda done, total, note="": seen.append((done, total)),
    )
    steps = result.metadata["total_steps"]
    assert seen == [(step, steps) for step in range(1, steps + 1)]


@pytest.mark.parametrize(("asked", "total", "used"), [(500, 105, 10), (5, 105, 5), (500, 9, 0)])
def test_warm_up_is_at_most_a_tenth(asked: int, total: int, used: int) -> None:
    assert warmup_used(asked, total) == used


@pytest.mark.parametrize(
    ("articles", "asked", "evaluated"),
    [(80, None, 80), (281, None, 100), (1000, None, 200), (9000, None, 500), (281, 40, 40)],
)
def test_train_is_evaluated_on_a_share(articles: int, asked: int | None, evaluated: int) -> None:
    assert train_evaluated(articles, asked) == evaluated


def test_a_base_that_is_not_there_leaves_nothing_behind(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    with pytest.raises(UserError):
        run(filter_, data_dir, tmp_path / "out", settings(model_name=str(tmp_path)))
    assert not (tmp_path / "out").exists()
