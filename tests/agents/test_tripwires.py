"""Every tripwire fires, and sound results trip none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distillery_core.agents.record_check import head_parameters
from distillery_core.agents.tripwires import OtherVersion, copied_results, find_tripwires
from distillery_core.dataset.manifest import LabelRecord, Manifest
from distillery_core.dataset.prepare import prepare
from distillery_core.dataset.rows import Example
from distillery_core.student.predict import load_model
from distillery_core.student.settings import TrainSettings
from distillery_core.student.testing import labelled_rows, tiny_base, tiny_filter, write_rows
from distillery_core.student.training import train
from distillery_core.verdicts import Measurement, ReportFront, write_report

HISTORY = [{"train": {"mae": 0.6}, "val": {"mae": value}} for value in (1.0, 0.7, 0.8)]
RECORD: dict[str, Any] = {
    "best_epoch": 2,
    "best_val_mae": 0.7,
    "num_parameters": 1_500_000_000,
    "num_trainable_parameters": 1_500_000_000,
    "weights_moved": {"tensors": 200, "tensors_moved": 198},
    "settings": {"method": "full"},
}
HEAD = 12_288


def _fired(record: dict[str, Any], **more: Any) -> str:
    given = {"head_parameters": HEAD, "val_mae": 0.7, **more}
    found = find_tripwires({**RECORD, **record}, HISTORY, **given)
    assert found.grade == (2 if found.fired else 0)
    return "; ".join(found.fired)


def _example(number: int) -> Example:
    return Example(f"a{number}", "t", f"text {number}", (1.0,), ("d",))


def _manifest(declared: bool, *oracles: str) -> Manifest:
    labels = tuple(
        LabelRecord(oracle=name, prompt_sha256="p", text_view_sha256="v", rows=10)
        for name in oracles
    )
    return Manifest.model_construct(labels=labels, mixture_declared=declared)


def test_sound_results_trip_nothing() -> None:
    val, test = [_example(1), _example(2)], [_example(3), _example(4)]
    assert _fired({}, val=val, test=test, manifest=_manifest(False, "gpt")) == ""


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"weights_moved": {"tensors": 200, "tensors_moved": 0}}, "0 of 200 trained tensors"),
        ({"weights_moved": {"tensors": 200, "tensors_moved": 2}}, "2 of 200 trained tensors"),
        (
            {"num_trainable_parameters": HEAD, "settings": {"method": "lora"}},
            "only the head was trained (12288 of 1500000000 parameters), under lora",
        ),
        (
            {"num_trainable_parameters": 9_000_000},
            "9000000 of 1500000000 parameters were trained, under full fine-tuning",
        ),
        ({"num_trainable_parameters": HEAD, "settings": {"method": "frozen"}}, ""),
        ({"num_trainable_parameters": 9_000_000, "settings": {"method": "lora"}}, ""),
        (
            {"num_trainable_parameters": HEAD, "method": "frozen base"},
            "only the head was trained (12288 of 1500000000 parameters), under frozen base",
        ),
        (
            {"best_epoch": 3, "best_val_mae": 0.8},
            "epoch 3 was saved, the history's best is epoch 2",
        ),
        ({"best_epoch": 3, "best_val_mae": 0.8, "best_by": "spearman"}, "the saved model has"),
        ({"best_epoch": 4}, "the record's best epoch is 4, the history has 3 epochs"),
        ({"best_val_mae": 0.6}, "the record's validation MAE is 0.600, the history's 0.700"),
        ({"best_epoch": None, "best_val_mae": 0.6}, "the record's best validation MAE is 0.600"),
    ],
)
def test_the_record_gives_it_away(record: dict[str, Any], said: str) -> None:
    fired = _fired(record)
    assert said in fired
    assert bool(fired) == bool(said)


@pytest.mark.parametrize("head", ["ridge", "mlp"])
def test_a_frozen_run_is_taken_for_one(tmp_path: Path, head: str) -> None:
    """By the record that training wrote; the same is not let pass as full fine-tuning."""
    tiny = tiny_filter(tmp_path / "filters")
    rows = write_rows(tmp_path / "rows.jsonl", labelled_rows(tiny, 60))
    prepare(tiny, rows, tmp_path / "data")
    settings = TrainSettings(
        model_name=str(tiny_base(tmp_path / "base", "bert")),
        max_length=32,
        method="frozen",
        frozen_head=head,  # type: ignore[arg-type]
        head_epochs=3,
        device="cpu",
        threads=1,
    )
    out = tmp_path / "out"
    model_dir = train(tiny, tmp_path / "data", out, settings).model_dir
    record, history = (
        json.loads((out / f"training_{name}.json").read_text(encoding="utf-8"))
        for name in ("metadata", "history")
    )
    known = {
        "head_parameters": head_parameters(load_model(model_dir).model),
        "val_mae": record["best_val_mae"],
    }
    assert find_tripwires(record, history, **known).grade == 0
    (fired,) = find_tripwires({**record, "method": "full"}, history, **known).fired
    assert "under full" in fired


def test_the_saved_model_is_not_the_epoch_that_the_history_praises() -> None:
    assert "the saved model has a validation MAE of 0.790, epoch 2" in _fired({}, val_mae=0.79)
    assert _fired({}, val_mae=0.71) == ""


def test_a_test_set_that_is_the_validation_set() -> None:
    val = [_example(number) for number in range(10)]
    assert _fired({}, val=val, test=val) == "10 of 10 test articles are validation articles"


def test_labels_of_two_oracles_must_be_declared() -> None:
    said = "the labels come from 2 oracles or prompts (claude, gpt)"
    assert _fired({}, manifest=_manifest(False, "gpt", "claude")) == said
    assert _fired({}, manifest=_manifest(True, "gpt", "claude")) == ""


def test_what_the_record_does_not_say_is_not_taken_for_granted() -> None:
    record = {name: value for name, value in RECORD.items() if name != "weights_moved"}
    found = find_tripwires(record, HISTORY)
    assert found.grade == 1
    assert found.unknown == (
        "the record does not say if weights moved",
        "the saved model was not loaded",
    )


def _version(folder: Path, history: str, model: str, predictions: str) -> Path:
    folder.mkdir()
    (folder / "training_history.json").write_text(history, encoding="utf-8")
    record = {"hashes": {"model_sha256": model}}
    (folder / "training_metadata.json").write_text(json.dumps(record), encoding="utf-8")
    front = ReportFront(
        agent="model_evaluation",
        round="evaluation",
        filter="f",
        version=1,
        verdict="REVIEW",
        deciding_line="leak",
        evidence={},
        measurements={"leak": Measurement(0)},
        numbers={"predictions_sha256": predictions},
    )
    write_report(folder / "model_evaluation.md", front, "# Report\n")
    return folder


@pytest.mark.parametrize(
    ("history", "model", "predictions", "said"),
    [
        ("[2]", "other", "others", []),
        ("[1]", "other", "others", ["the training history is that of f:v1"]),
        ("[2]", "m", "others", ["the model is that of f:v1"]),
        ("[2]", "other", "p", ["every test prediction is that of f:v1"]),
    ],
)
def test_results_copied_from_another_version(
    tmp_path: Path, history: str, model: str, predictions: str, said: list[str]
) -> None:
    first = _version(tmp_path / "v1", "[1]", "m", "p")
    second = _version(tmp_path / "v2", history, model, predictions)
    others = [OtherVersion("f:v1", first), OtherVersion("f:v3", tmp_path / "v3")]
    own = second / "training_history.json"
    assert copied_results(own, model, predictions, others) == said
