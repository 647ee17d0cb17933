"""Full, LoRA, QLoRA, frozen: what is trained, what is saved, and who can load it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, Qwen2Config, Qwen2Model

from distillery_core.dataset.rows import read_examples
from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student import features
from distillery_core.student.heads import fit_ridge
from distillery_core.student.planning import plan
from distillery_core.student.planning.plan import choice_of
from distillery_core.student.planning.shape import shape_of
from distillery_core.student.planning.step_memory import GIB
from distillery_core.student.planning.target import target_for
from distillery_core.student.predict import load_model, predict
from distillery_core.student.record import flat_metrics
from distillery_core.student.result import TrainResult
from distillery_core.student.run import Say
from distillery_core.student.settings import FrozenHead, Method, TrainSettings
from distillery_core.student.training import train

Make = Callable[..., TrainSettings]


@pytest.fixture
def trained(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> Callable[..., TrainResult]:
    def run(
        family: str = "qwen2", say: Say = lambda line: None, **overrides: object
    ) -> TrainResult:
        asked = settings(family, micro_batch_tokens=2000, **overrides)
        return train(filter_, data_dir, tmp_path / "out", asked, say=say)

    return run


def saved_mae(result: TrainResult, data_dir: Path) -> float:
    """Validation MAE of what lies on disk."""
    examples = read_examples(data_dir / "val.jsonl")
    found = predict(load_model(result.model_dir), examples).values
    return float(np.abs(found - np.array([example.labels for example in examples])).mean())


def test_lora_is_merged_into_a_plain_model_with_the_adapter_beside_it(
    trained: Callable[..., TrainResult], family: str, base: Callable[[str], Path], data_dir: Path
) -> None:
    result = trained(family, method="lora", epochs=2)
    assert result.metadata["method"] == "lora"
    assert result.metadata["num_trainable_parameters"] < result.metadata["num_parameters"]
    moved = result.metadata["weights_moved"]
    assert moved["tensors_moved"] == moved["tensors"] > 20
    assert saved_mae(result, data_dir) == pytest.approx(result.best_val_mae, abs=1e-5)

    _, report = AutoModelForSequenceClassification.from_pretrained(
        result.model_dir, output_loading_info=True
    )
    assert not report["missing_keys"] | report["unexpected_keys"]
    merged = load_file(result.model_dir / "model.safetensors")
    first = load_file(base(family) / "model.safetensors")
    prefix = "model." if family == "qwen2" else "bert."
    same = {n for n, t in first.items() if torch.equal(merged[prefix + n], t)}
    assert any("embed" in name for name in same), "what has no adapter is the base's"
    assert any("mlp" in n or "intermediate" in n for n in set(first) - same)
    adapter = load_file(result.model_dir / "adapter" / "adapter_model.safetensors")
    assert any("lora_A" in n for n in adapter)
    assert any("score" in n or "classifier" in n for n in adapter), "the head is part of it"


def test_lora_over_a_base_held_in_bf16(trained: Callable[..., TrainResult], data_dir: Path) -> None:
    result = trained("bert", method="lora", base_precision="bf16", precision="bf16")
    weights = load_file(result.model_dir / "model.safetensors")
    assert {t.dtype for t in weights.values()} == {torch.bfloat16}
    adapter = load_file(result.model_dir / "adapter" / "adapter_model.safetensors")
    assert {t.dtype for t in adapter.values()} == {torch.float32}
    assert saved_mae(result, data_dir) == pytest.approx(result.best_val_mae, abs=0.05)


def test_qlora_without_its_package_is_told(
    trained: Callable[..., TrainResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        plan.importlib.util,
        "find_spec",
        lambda name: None if name == "bitsandbytes" else there(name),
    )
    with pytest.raises(UserError, match=r"needs bitsandbytes(?s:.)*pip install bitsandbytes"):
        trained(method="qlora")


@pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)
def test_qlora_saves_what_it_trained(
    trained: Callable[..., TrainResult], base: Callable[[str], Path], data_dir: Path, tmp_path: Path
) -> None:
    """On matrices of a width that the 4-bit blocks divide."""
    small, wide = base("qwen2"), tmp_path / "wide"
    config = Qwen2Config.from_pretrained(small, hidden_size=128, intermediate_size=256)
    Qwen2Model(config).save_pretrained(wide)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (wide / name).write_bytes((small / name).read_bytes())
    result = trained(method="qlora", precision="bf16", model_name=str(wide))
    assert saved_mae(result, data_dir) == pytest.approx(result.best_val_mae, abs=0.05)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_auto_takes_the_first_that_fits(
    filter_: Filter,
    data_dir: Path,
    settings: Make,
    tmp_path: Path,
    method: Method,
) -> None:
    lines: list[str] = []
    shape, here = shape_of(settings().model_name, 3), target_for("cpu")
    need = choice_of(shape, settings(micro_batch_tokens=64), here, method).memory.total
    asked = settings(
        memory_limit_gib=need * 1.00001 / GIB,
        micro_batch_tokens=64,
        gradient_checkpointing=False,
    )
    result = train(filter_, data_dir, tmp_path, asked, say=lines.append)
    assert lines[0].startswith(f"Method: {method} (auto); needs about 0.7 GiB")
    assert result.metadata["method"] == method
    assert result.metadata["settings"]["method"] == "auto"


def test_auto_where_nothing_fits(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"full: needs .* lora: needs .* qlora: needs"):
        train(filter_, data_dir, tmp_path / "out", settings(memory_limit_gib=0.1))
    assert not (tmp_path / "out").exists()


def test_a_frozen_ridge_head_is_the_models_own_layer(
    trained: Callable[..., TrainResult], family: str, base: Callable[[str], Path], data_dir: Path
) -> None:
    result = trained(family, method="frozen")
    AutoModelForSequenceClassification.from_pretrained(result.model_dir)
    assert saved_mae(result, data_dir) == pytest.approx(result.best_val_mae, abs=1e-4)
    written = load_file(result.model_dir / "model.safetensors")
    first = load_file(base(family) / "model.safetensors")
    prefix = "model." if family == "qwen2" else "bert."
    assert all(torch.equal(written[prefix + n], t) for n, t in first.items())
    assert result.metadata["num_trainable_parameters"] == (96 if family == "qwen2" else 99)


@pytest.mark.parametrize("head", ["ridge", "mlp"])
def test_a_frozen_run_trains_as_many_parameters_as_planned(
    trained: Callable[..., TrainResult], settings: Make, family: str, head: FrozenHead
) -> None:
    asked = settings(family, method="frozen", frozen_head=head, head_epochs=1)
    shape = shape_of(asked.model_name, 3)
    planned = choice_of(shape, asked, target_for("cpu"), "frozen").trained
    run = trained(family, method="frozen", frozen_head=head, head_epochs=1)
    assert run.metadata["num_trainable_parameters"] == planned
    need = choice_of(shape, asked, target_for("cpu"), "frozen").memory
    assert (need.gradients, need.optimizer) == (4 * planned, 8 * planned)


NO_EFFECT = "Without effect on a frozen base: "


@pytest.mark.parametrize(
    ("head", "instead", "record"),
    [
        ("mlp", "batches of 32, a rate of 0.001 and at most 4 epochs (head_epochs", (4, 32, 1e-3)),
        ("ridge", "; a ridge head is solved in closed form", (1, 96, None)),
    ],
)
def test_a_frozen_run_says_and_records_what_its_head_is_fitted_with(
    trained: Callable[..., TrainResult], head: str, instead: str, record: tuple[object, ...]
) -> None:
    lines: list[str] = []
    asked = {"epochs": 7, "learning_rate": 0.5, "batch_size": 2, "schedule": "cosine"}
    result = trained(
        "bert", lines.append, method="frozen", frozen_head=head, head_epochs=4, precision="bf16",
        **asked,
    )  # fmt: skip
    said = [line for line in lines if line.startswith(NO_EFFECT)]
    assert len(said) == 1
    assert instead in said[0]
    for name, value in (asked | {"precision": "bf16"}).items():
        assert f" {name} {value}" in said[0]
    assert ("head_epochs 4," in said[0]) == (head == "ridge")
    assert "seed" not in said[0]
    told = result.metadata
    assert told["train_examples"] == 96
    assert (told["epochs"], told["batch_size"], told["learning_rate"]) == record
    assert told["effective_batch_size"] == told["batch_size"]
    assert told["epochs_run"] == record[0] == len(result.history)
    assert told["total_steps"] == (4 * 3 if head == "mlp" else 0)
    assert told["precision"] == "float32"
    assert told["settings"]["epochs"] == 7, "what was asked for stays in the record"


def test_a_frozen_run_with_nothing_to_leave_out_says_nothing(
    data_dir: Path, filter_: Filter, base: Callable[[str], Path], tmp_path: Path
) -> None:
    """What the filter says for other methods was not asked for, unless it freezes the base."""
    lines: list[str] = []

    def said(method: str, **overrides: object) -> list[str]:
        lines.clear()
        given = filter_.config.training.model_copy(update={"method": method, "epochs": 9})
        config = filter_.config.model_copy(update={"training": given})
        asked = TrainSettings.from_config(
            given, model_name=str(base("bert")), method="frozen", device="cpu", max_length=64,
            precision="float32", **overrides,
        )  # fmt: skip
        chosen = filter_.model_copy(update={"config": config})
        train(chosen, data_dir, tmp_path / "out", asked, say=lines.append)
        return [line for line in lines if line.startswith(NO_EFFECT)]

    assert said("auto") == []
    assert said("auto", epochs=3)[0].startswith(f"{NO_EFFECT}epochs 3; ")
    assert said("frozen")[0].startswith(f"{NO_EFFECT}epochs 9; ")


def test_a_frozen_base_is_counted_once_and_every_epoch_timed_by_itself(
    trained: Callable[..., TrainResult],
) -> None:
    ridge = trained("bert", method="frozen")
    result = trained("bert", method="frozen", frozen_head="mlp", head_epochs=40)
    first, *later = result.history
    assert result.metadata["tokens"] == first.tokens == ridge.metadata["tokens"] > 1000
    assert first.tokens_per_second == pytest.approx(first.tokens / first.seconds)
    assert {(one.tokens, one.tokens_per_second) for one in later} == {(0, None)}
    assert result.metadata["features_from_cache"] is False
    assert result.metadata["padding_waste"] == first.padding_waste
    seconds = [one.seconds for one in result.history]
    assert sum(seconds) <= result.metadata["seconds"] + 0.05
    assert max(seconds[-5:]) < sum(seconds[1:]) / 2, "not since the run began"


def test_a_frozen_mlp_head_lies_beside_the_base(
    trained: Callable[..., TrainResult], family: str, data_dir: Path
) -> None:
    result = trained(family, method="frozen", frozen_head="mlp", head_epochs=30, patience=5)
    assert (result.model_dir / "head.safetensors").is_file()
    assert 5 < len(result.history) <= 30
    assert saved_mae(result, data_dir) == pytest.approx(result.best_val_mae, abs=1e-4)
    assert result.metadata["weights_moved"]["tensors_moved"] == 4
    told = (result.model_dir / "README.md").read_text(encoding="utf-8")
    assert "It loads with plain transformers" not in told
    assert "Plain transformers loads only the base" in told


def test_a_frozen_base_is_read_once(
    trained: Callable[..., TrainResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = str(tmp_path / "cache")
    lines: list[str] = []
    first = trained("bert", lines.append, method="frozen", cache_dir=cache)
    assert any("parameters" in line for line in lines)
    assert not any("Warm-up" in line for line in lines), "there are no steps to warm up in"
    monkeypatch.setattr(features, "computed", lambda *_: pytest.fail("read again"))
    lines.clear()
    again = trained("bert", lines.append, method="frozen", cache_dir=cache)
    assert again.best_val_mae == first.best_val_mae
    assert sum(line.startswith("The base reads no training article") for line in lines) == 1
    [epoch] = again.history
    assert (epoch.tokens, epoch.tokens_per_second, epoch.padding_waste) == (0, None, 0.0)
    assert "tokens_per_second" not in flat_metrics(epoch)
    entry = first.history[0].as_json()
    numbers = {name: value for name, value in entry.items() if type(value) in (int, float)}
    del numbers["epoch"]
    tracked = flat_metrics(first.history[0])
    assert {name: tracked.get(name) for name in numbers} == numbers, "the tracker has all of them"
    assert (again.metadata["tokens"], again.metadata["features_from_cache"]) == (0, True)
    assert first.metadata["tokens"] > 1000 and not first.metadata["features_from_cache"]
    damaged = next((tmp_path / "cache" / "features").iterdir())
    damaged.write_bytes(b"not a tensor")
    with pytest.raises(pytest.fail.Exception, match="read again"):
        trained("bert", method="frozen", cache_dir=cache)


def test_ridge_is_the_closed_form_and_chooses_its_strength() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    features = rng.normal(2.0, 3.0, size=(80, 20))
    truth = rng.normal(size=(2, 20))
    labels = features @ truth.T + 5 + rng.normal(0, 0.1, size=(80, 2))
    for intercept in (True, False):
        head = fit_ridge(features, labels, intercept=intercept, seed=0)
        centred = features - features.mean(axis=0) if intercept else features
        scale = np.square(np.linalg.svd(centred, compute_uv=False)).mean()
        same = Ridge(alpha=head.alpha * scale, fit_intercept=intercept).fit(features, labels)
        assert head(features) == pytest.approx(same.predict(features), abs=1e-6)
        assert intercept == bool(np.any(head.bias))
    noisy = fit_ridge(features, rng.normal(size=(80, 2)), intercept=True, seed=0)
    assert noisy.alpha > fit_ridge(features, labels, intercept=True, seed=0).alpha


def test_a_frozen_run_is_not_resumed(trained: Callable[..., TrainResult]) -> None:
    with pytest.raises(UserError, match="not resumed"):
        trained(method="frozen", resume="newest")


def test_high_scores_may_count_more(
    trained: Callable[..., TrainResult], data_dir: Path, filter_: Filter
) -> None:
    """The weights are 1 by default and have a mean of 1 otherwise; they change what is learned."""
    plain = trained("bert", epochs=2, learning_rate=1e-2)
    weighted = trained("bert", epochs=2, learning_rate=1e-2, high_score_weight=20.0)
    assert weighted.history[1].val["bias"] > plain.history[1].val["bias"]  # type: ignore[operator]


def test_early_stopping_and_accumulation(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    lines: list[str] = []
    still = settings("bert", epochs=6, patience=2, learning_rate=1e-12, head_learning_rate=1e-12)
    result = train(filter_, data_dir, tmp_path / "a", still, say=lines.append)
    assert len(result.history) == 3
    assert result.metadata["complete"] is True
    assert "Stopped after epoch 3: none was better since epoch 1" in lines
    whole = train(filter_, data_dir, tmp_path / "b", settings(batch_size=24))
    parts = train(filter_, data_dir, tmp_path / "c", settings(batch_size=8, accumulation=3))
    assert parts.metadata["effective_batch_size"] == whole.metadata["effective_batch_size"] == 24
    assert parts.metadata["total_steps"] == whole.metadata["total_steps"] == 4
    assert parts.history[0].running_loss == pytest.approx(whole.history[0].running_loss, rel=1e-4)


def test_gradient_checkpointing_changes_no_number(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    kept = train(filter_, data_dir, tmp_path / "a", settings(micro_batch_tokens=2000))
    again = train(
        filter_,
        data_dir,
        tmp_path / "b",
        settings(micro_batch_tokens=2000, gradient_checkpointing=True),
    )
    assert again.metadata["gradient_checkpointing"] is True
    assert again.history[0].running_loss == pytest.approx(kept.history[0].running_loss, rel=1e-5)


def test_the_record_measures_speed_and_memory(trained: Callable[..., TrainResult]) -> None:
    result = trained()
    entry = json.loads((result.model_dir.parent / "training_history.json").read_text())[0]
    assert entry["tokens_per_second"] > 100
    assert 0 < entry["model_flops_utilisation"] < 1
    assert entry["peak_memory_bytes"] > 100e6
    for split in ("train", "val"):
        found = {name for name in entry[split] if name.startswith("needle_")}
        assert found == {"needle_recall", "needle_precision", "needle_average_precision"}
