"""A tiny real student, from labelled rows to a report: every part of the evidence is measured."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from distillery_core.agents.evaluate import evaluate_model
from distillery_core.agents.gather import IncumbentModel
from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.testing import labelled_rows, tiny_base, tiny_filter, write_rows

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Trained:
    filter: Filter
    data: Path
    home: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    from distillery_core.dataset.prepare import prepare
    from distillery_core.student.settings import TrainSettings
    from distillery_core.student.training import train

    root = tmp_path_factory.mktemp("evaluate")
    filter = tiny_filter(root)
    labelled = write_rows(root / "labelled.jsonl", labelled_rows(filter, 160))
    floor = {"heat": 0.2, "noise": 0.3, "speed": 0.1}
    prepare(filter, labelled, root / "data", noise_floor=floor, project=REPOSITORY)
    settings = TrainSettings(
        model_name=str(tiny_base(root / "base", "bert")),
        max_length=64,
        epochs=2,
        learning_rate=3e-3,
        device="cpu",
        precision="float32",
    )
    train(filter, root / "data", filter.folder, settings)
    return Trained(filter, root / "data", filter.folder)


def _evaluate(trained: Trained, home: Path | None = None, **more: Any) -> Any:
    target = home or trained.home
    return evaluate_model(
        trained.filter, target / "model", trained.data, target, REPOSITORY, **more
    )


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Path:
    """The trained filter's folder, to be spoiled."""
    return Path(shutil.copytree(trained.home, tmp_path / "v1"))


def test_everything_is_measured_and_written(trained: Trained, tmp_path: Path) -> None:
    done = _evaluate(trained, reports_dir=tmp_path)
    front = done.judged.front
    assert (trained.home / "model_evaluation.md").is_file()
    assert done.judged.decision.word in ("REVIEW", "FAIL")  # 16 test articles prove nothing
    assert front.measurements["record_agrees"].value == 0, front.measurements["record_agrees"]
    assert front.measurements["leak"].value == 0
    assert front.numbers["noise_floor"] == pytest.approx(0.2)
    assert front.numbers["speed"]["latency_s"] > 0
    assert set(front.evidence) >= {"model_sha256", "dataset_sha256", "manifest_sha256"}
    rows = [json.loads(line) for line in done.predictions_path.read_text().splitlines()]
    assert len(rows) == front.counts["test"]
    assert set(rows[0]["labels"]) == set(trained.filter.dimensions)


def test_evaluating_again_writes_the_same_bytes(trained: Trained) -> None:
    _evaluate(trained)
    first = (trained.home / "model_evaluation.md").read_bytes()
    _evaluate(trained)
    assert (trained.home / "model_evaluation.md").read_bytes() == first


def test_the_version_in_use_is_compared_on_articles_new_to_it(
    trained: Trained, tmp_path: Path
) -> None:
    old = IncumbentModel("v0", trained.home / "model", trained.data)
    front = _evaluate(trained, incumbent=old).judged.front
    assert front.measurements["against_incumbent"].value == pytest.approx(0.0)
    assert front.numbers["incumbent"] == "v0"


def test_another_model_than_the_record_says_fails(trained: Trained, copy: Path) -> None:
    path = copy / "training_metadata.json"
    record = json.loads(path.read_text())
    record["hashes"]["model_sha256"] = "0" * 64
    path.write_text(json.dumps(record))
    judged = _evaluate(trained, copy).judged
    assert judged.decision.word == "FAIL"
    assert judged.front.measurements["record_agrees"].value == 2


@pytest.mark.parametrize("name", ["training_metadata.json", "training_history.json"])
@pytest.mark.parametrize("text", [None, "{", "[]", '[{"epoch": 1}]'])
def test_a_missing_or_damaged_record_is_the_users_to_mend(
    trained: Trained, copy: Path, name: str, text: str | None
) -> None:
    if text is None:
        (copy / name).unlink()
    else:
        (copy / name).write_text(text)
    with pytest.raises(UserError, match="training"):
        _evaluate(trained, copy)


def test_a_leak_is_found_in_the_files_whatever_the_manifest_says(
    trained: Trained, copy: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(trained.data, tmp_path / "data"))
    test_rows = (data / "test.jsonl").read_text().splitlines()
    with (data / "train.jsonl").open("a") as handle:
        handle.write(test_rows[0] + "\n")
    leaking = Trained(trained.filter, data, copy)
    judged = _evaluate(leaking).judged
    names = {line.name for line in judged.decision.because}
    assert judged.decision.word == "FAIL"
    assert {"leak", "record_agrees"} <= names  # the dataset's hash differs too
