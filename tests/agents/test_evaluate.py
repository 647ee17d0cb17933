"""A tiny real student, from labelled rows to a report: every part of the evidence is measured."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from distillery_core.agents.evaluate import evaluate_model
from distillery_core.agents.incumbent import IncumbentModel
from distillery_core.agents.tripwires import OtherVersion
from distillery_core.dataset.judgements import Judgement, append, read_people
from distillery_core.errors import CheckFailed, UserError
from distillery_core.fence import normalised_key
from distillery_core.filters.config import Reports
from distillery_core.filters.filter import Filter
from distillery_core.student.testing import labelled_rows, tiny_base, tiny_filter, write_rows
from distillery_core.types import Level

pytestmark = pytest.mark.usefixtures("without_plots")

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


def test_everything_is_measured_and_written(trained: Trained, tmp_path: Path, drawn: None) -> None:
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
    assert "| train | 100 of 128 |" in done.judged.report.body, "its errors are of a fixed part"


def test_evaluating_again_writes_the_same_bytes(trained: Trained) -> None:
    _evaluate(trained)
    first = (trained.home / "model_evaluation.md").read_bytes()
    _evaluate(trained)
    assert (trained.home / "model_evaluation.md").read_bytes() == first


def test_student_and_oracle_are_set_beside_a_person_on_the_same_articles(
    trained: Trained, copy: Path
) -> None:
    """The person scores the first dimension of twelve test articles one point above the oracle."""
    rows = [json.loads(line) for line in (trained.data / "test.jsonl").read_text().splitlines()]
    first = trained.filter.dimensions[0]
    chosen = [row for row in rows if row["labels"][0] <= 9][:12]
    append(copy, [_scored_by_ada(row, {first: row["labels"][0] + 1}) for row in chosen])
    alone = _evaluate(trained, copy).judged
    done = _evaluate(trained, copy, people=read_people(copy)).judged
    assert alone.decision == done.decision, "no line rests on people"
    assert alone.front.numbers["people"] is None
    people = done.front.numbers["people"]
    assert (people["names"], people["articles"]) == (["Ada"], len(chosen))
    oracle, student = (people["lines"][0][whose] for whose in ("oracle", "student"))
    assert (oracle["n"], oracle["bias"], oracle["mae"]) == (len(chosen), -1.0, 1.0)
    assert student["n"] == len(chosen)
    assert student["mae_low"] <= student["mae"] <= student["mae_high"]
    assert people["lines"][1]["oracle"]["n"] == 0
    assert "## Beside people" in done.report.body
    assert "(-1.00 to -1.00) | 1.00 (1.00 to 1.00) |" in done.report.body


def _scored_by_ada(row: dict[str, Any], scores: dict[str, float]) -> Judgement:
    return Judgement(
        id=row["id"],
        text_key=normalised_key(row["content"]),
        class_name="on_topic",
        scores=scores,
        name="Ada",
    )


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


def test_a_folder_that_is_not_there_is_told_as_the_models(trained: Trained, copy: Path) -> None:
    shutil.rmtree(copy)
    with pytest.raises(UserError, match="no such model folder"):
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


def _line(judged: Any, name: str) -> Any:
    return next(line for line in judged.decision.lines if line.name == name)


def test_the_report_says_what_more_labels_would_buy_and_shows_short_excerpts(
    trained: Trained, copy: Path
) -> None:
    judged = _evaluate(trained, copy).judged
    learning = judged.front.numbers["learning"]
    assert [row["articles"] for row in learning["rows"]] == [32, 64, 128]
    assert [gain["labels"] for gain in learning["gains"]] == [160, 480]
    assert "## What more labels would buy" in judged.report.body
    [worst, *rest] = judged.report.body.split("<br>")[1:]
    assert len(rest) == 9
    assert 50 < len(worst.splitlines()[0].rstrip("…")) <= 220
    line = judged.front.numbers["reliability"]["lines"][0]
    assert line["dimension"] == "heat"
    assert line["slope"] is not None


def test_a_filter_may_forbid_excerpts(trained: Trained, copy: Path) -> None:
    config = trained.filter.config
    silent = config.model_copy(update={"reports": Reports(excerpt_chars=0)})
    filter = trained.filter.model_copy(update={"config": silent})
    quiet = Trained(filter, trained.data, trained.home)
    judged = _evaluate(quiet, copy).judged
    assert "<br>" not in judged.report.body
    contents = [row["content"] for row in map(json.loads, _test_rows(trained))]
    assert not any(content[:60] in judged.report.body for content in contents)


def _test_rows(trained: Trained) -> list[str]:
    return (trained.data / "test.jsonl").read_text(encoding="utf-8").splitlines()


def test_sound_training_trips_no_wire(trained: Trained, copy: Path) -> None:
    line = _line(_evaluate(trained, copy).judged, "tripwires")
    assert line.level is Level.OK, line.measurement


def _edit_record(home: Path, **changes: Any) -> None:
    path = home / "training_metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_frozen_weights_a_stale_checkpoint_and_a_copied_version_fail(
    trained: Trained, copy: Path
) -> None:
    _edit_record(copy, weights_moved={"norm": 0.0, "tensors_moved": 0, "tensors": 40})
    history = json.loads((copy / "training_history.json").read_text())
    best = min(range(len(history)), key=lambda at: history[at]["val"]["mae"])
    history[best]["val"]["mae"] -= 0.3
    (copy / "training_history.json").write_text(json.dumps(history))
    twin = OtherVersion("tiny:v0", trained.home)
    line = _line(_evaluate(trained, copy, others=[twin]).judged, "tripwires")
    assert line.level is Level.FAIL
    for said in (
        "0 of 40 trained tensors have moved",
        "the saved model has a validation MAE of",
        "the model is that of tiny:v0",
    ):
        assert said in line.measurement.note


def _of_another_oracle(trained: Trained, folder: Path) -> Path:
    """The same dataset, its labels said to be another oracle's."""
    data = Path(shutil.copytree(trained.data, folder))
    manifest = json.loads((data / "manifest.json").read_text())
    for label in manifest["labels"]:
        label["oracle"] = "another-oracle"
    (data / "manifest.json").write_text(json.dumps(manifest))
    return data


def test_an_incumbent_of_another_oracle_is_refused_by_name(
    trained: Trained, copy: Path, tmp_path: Path
) -> None:
    other = _of_another_oracle(trained, tmp_path / "data")
    old = IncumbentModel("tiny:v0", trained.home / "model", other, asked_for=True)
    with pytest.raises(CheckFailed, match="tiny:v0 cannot be compared") as refused:
        _evaluate(trained, copy, incumbent=old)
    assert "another-oracle" in str(refused.value)
    unasked = replace(old, asked_for=False)
    line = _line(_evaluate(trained, copy, incumbent=unasked).judged, "against_incumbent")
    assert line.level is Level.NOT_APPLICABLE
    assert "learned from labels of another-oracle" in line.reason


def test_an_incumbent_whose_training_data_are_gone_is_no_yardstick(
    trained: Trained, copy: Path, tmp_path: Path
) -> None:
    old = IncumbentModel("tiny:v0", trained.home / "model", tmp_path / "gone", asked_for=True)
    with pytest.raises(UserError, match="was trained on is not there"):
        _evaluate(trained, copy, incumbent=old)
    unasked = replace(old, asked_for=False)
    line = _line(_evaluate(trained, copy, incumbent=unasked).judged, "against_incumbent")
    assert line.level is Level.NOT_APPLICABLE


def test_score_calibration_is_judged_as_deployed_and_gaps_without_it(
    trained: Trained, copy: Path
) -> None:
    plain = _evaluate(trained, copy).evidence
    maps = {name: {"scores": [0.0, 10.0], "calibrated": [1.0, 9.0]} for name in plain.dimensions}
    calibration = {"rows": 200, "map": "isotonic", "mae": 1.0, "reason": "r", "dimensions": maps}
    (copy / "model" / "score_calibration.json").write_text(json.dumps(calibration))
    found = _evaluate(trained, copy).evidence
    assert found.test.predictions == pytest.approx(1 + 0.8 * plain.test.predictions, abs=1e-4)
    assert found.test.raw == pytest.approx(plain.test.predictions)
    assert found.val.raw == pytest.approx(plain.val.predictions)


def test_features_that_a_frozen_run_left_are_a_baseline_and_its_learning_curve(
    trained: Trained, copy: Path, tmp_path: Path
) -> None:
    from distillery_core.student.settings import TrainSettings
    from distillery_core.student.training import train

    assert _evaluate(trained, copy, cache_dir=tmp_path).evidence.further == ()
    record = json.loads((copy / "training_metadata.json").read_text())
    same = {name: record["settings"][name] for name in ("model_name", "max_length", "seed")}
    asked = TrainSettings(**same, method="frozen", device="cpu", cache_dir=str(tmp_path))
    train(trained.filter, trained.data, tmp_path / "frozen", asked)
    done = _evaluate(trained, copy, cache_dir=tmp_path)
    [base] = done.evidence.further
    assert base.name == "frozen embeddings + ridge"
    rivals = {one["name"]: one["mae"] for one in done.judged.front.numbers["rivals"]}
    learning = done.judged.front.numbers["learning"]
    assert learning["predictor"] == base.name
    assert learning["rows"][-1]["mae"] == pytest.approx(rivals[base.name])
    assert "the student's own base without fine-tuning" in done.judged.report.body
    for path in (tmp_path / "features").iterdir():
        path.write_bytes(b"cut off")
    spoiled = _evaluate(trained, copy, cache_dir=tmp_path)
    assert spoiled.evidence.further == ()
    assert "which shares only the articles" in spoiled.judged.report.body
