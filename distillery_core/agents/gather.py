"""Collects the evidence on a model: predicts, fits the baselines, recomputes hashes and leaks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distillery_core.agents import evaluation_baselines as fits
from distillery_core.agents.evaluation_baselines import Embedded, Splits, labels_of
from distillery_core.agents.evaluation_evidence import (
    Baseline,
    EvaluationEvidence,
    Incumbent,
    Predicted,
    Speed,
    TestArticle,
    Tripwires,
)
from distillery_core.agents.incumbent import IncumbentModel, score_incumbent
from distillery_core.agents.predicting import Scores, measure_speed, predicted_scores
from distillery_core.agents.record_check import check_record, head_parameters
from distillery_core.agents.tripwires import OtherVersion, copied_results, find_tripwires
from distillery_core.dataset.leaks import leaks_in
from distillery_core.dataset.manifest import (
    MANIFEST,
    Manifest,
    dataset_sha256,
    load_manifest,
)
from distillery_core.dataset.quality import filter_kind
from distillery_core.dataset.rows import Example, read_examples
from distillery_core.errors import UserError
from distillery_core.files import sha256_file, sha256_json
from distillery_core.filters.filter import Filter
from distillery_core.filters.text_view import pattern_text
from distillery_core.student.measures import baselines
from distillery_core.student.measures.finding import overall_scores
from distillery_core.student.measures.metrics import Array, article_errors, mae
from distillery_core.student.measures.score_calibration import ScoreCalibration
from distillery_core.tracking import NO_TRACKER, Tracker
from distillery_core.types import Progress, silent

HISTORY = "training_history.json"
METADATA = "training_metadata.json"


@dataclass(frozen=True)
class TrainingRecord:
    """training_history.json and training_metadata.json as read; each epoch has both MAEs."""

    history_path: Path
    history: list[dict[str, Any]]
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Gathered:
    """The evidence, with the test articles it is about."""

    evidence: EvaluationEvidence
    test: list[Example]


def gather(
    filter: Filter,
    model_dir: Path,
    data_dir: Path,
    *,
    record_dir: Path | None = None,
    incumbent: IncumbentModel | None = None,
    no_incumbent: str = "no other version has a model",
    others: Sequence[OtherVersion] = (),
    cache_dir: Path | None = None,
    threads: int | None = None,
    tracker: Tracker = NO_TRACKER,
    progress: Progress = silent,
) -> Gathered:
    """Everything the evaluation agent judges, measured now.

    Args:
        record_dir: where training_history.json and training_metadata.json lie; default the model
            folder's parent.
        no_incumbent: why there is no `incumbent`.
        others: the filter's other versions, of which no result may be a copy.
        cache_dir: where training keeps features of articles; None: none are looked for.
        tracker: its run is opened once dataset and records are read and the model folder is seen
            to be whole and the filter's, before the work begins.

    Raises:
        UserError: model, dataset or records are missing or belong to another filter, or the
            tracker cannot be reached.
        CheckFailed: the model predicts something that is not a number, or the incumbent that was
            asked for cannot be compared.
    """
    dataset = _open_dataset(filter, data_dir)
    _check_model(filter, model_dir)
    records = record_dir or model_dir.parent
    record = read_records(records / HISTORY, records / METADATA)
    tracker.open()
    progress(0, None, "predicting validation and test")
    scored = _score(model_dir, dataset.splits, threads)
    progress(0, None, "fitting the baselines")
    base = fits.embedded(filter, record.metadata, dataset.splits, cache_dir)
    evidence = _measured(filter, dataset, record, scored, model_dir, base)
    progress(0, None, "looking for leaks")
    leak = leaks_in(data_dir)
    rival = _incumbent(filter, incumbent, dataset, threads, progress)
    evidence = replace(
        evidence,
        tripwires=_tripwires(dataset, record, scored, evidence, others),
        leaking=max(leak.test, dataset.manifest.leak.test),
        leak_note=f"for example {', '.join(leak.examples[:3])}" if leak.test else "",
        incumbent=rival if isinstance(rival, Incumbent) else None,
        no_incumbent=rival if isinstance(rival, str) else no_incumbent,
    )
    return Gathered(evidence, dataset.splits.test)


@dataclass(frozen=True)
class _Dataset:
    """A dataset folder, read; `texts` are title and content of each test article."""

    folder: Path
    manifest: Manifest
    splits: Splits
    texts: list[str]


@dataclass(frozen=True)
class _Scored:
    """What the student makes of validation and test."""

    val: Predicted
    test: Predicted
    speed: Speed
    head_parameters: int | None
    calibration: ScoreCalibration | None


def _open_dataset(filter: Filter, data_dir: Path) -> _Dataset:
    manifest = load_manifest(data_dir)
    splits = _read_splits(manifest, filter, data_dir)
    texts = [pattern_text(one.title, one.content) for one in splits.test]
    return _Dataset(data_dir, manifest, splits, texts)


def _check_model(filter: Filter, model_dir: Path) -> None:
    """Raise a UserError for a model folder that lacks a file, or is another filter's."""
    from distillery_core.student.model_card import check_card
    from distillery_core.student.model_folder import whole_card

    check_card(whole_card(model_dir), filter, model_dir)


def _score(model_dir: Path, splits: Splits, threads: int | None) -> _Scored:
    from distillery_core.student.predict import load_model

    student = load_model(model_dir)
    val = predicted_scores(student, splits.val, threads)
    test = predicted_scores(student, splits.test, threads)
    return _Scored(
        val=_predicted(splits.val, val),
        test=_predicted(splits.test, test),
        speed=measure_speed(student, splits.test, test.seconds, threads),
        head_parameters=head_parameters(student.model),
        calibration=student.calibration,
    )


def _measured(
    filter: Filter,
    dataset: _Dataset,
    record: TrainingRecord,
    scored: _Scored,
    model_dir: Path,
    base: Embedded | None,
) -> EvaluationEvidence:
    """The evidence, but for leaks, tripwires and the incumbent."""
    from distillery_core.student.model_folder import model_sha256

    manifest, splits, texts = dataset.manifest, dataset.splits, dataset.texts
    metadata, quality, test = record.metadata, manifest.quality, scored.test
    tfidf = fits.tfidf_predictions(filter, splits.train, splits)
    overall = overall_scores(filter, test.predictions, texts)
    labelled = overall_scores(filter, test.labels, texts)
    now = _hashes_now(filter, manifest, dataset.folder, model_sha256(model_dir))
    kind = filter_kind(filter, _all_overalls(filter, splits))
    return EvaluationEvidence(
        dimensions=filter.dimensions,
        val=scored.val,
        test=test,
        overall=overall,
        labelled_overall=labelled,
        constant=baselines.constant(labels_of(splits.train), len(splits.test)),
        tfidf=tfidf,
        tfidf_overall=overall_scores(filter, tfidf, texts),
        source=fits.source_predictions(splits),
        further=() if base is None else (Baseline(fits.EMBEDDINGS, base.predictions),),
        calibration=scored.calibration,
        learning=fits.learning_curve(filter, manifest, splits, tfidf, base),
        epochs=record.history,
        metadata=metadata,
        record=check_record(metadata, model_dir, now),
        leaking=0,
        dataset_grade=quality.grade,
        dataset_lines=tuple(
            f"{line.title} ({line.reason})"
            for line in quality.lines
            if line.level in ("REVIEW", "FAIL")
        ),
        kind=kind.kind,
        kind_reason=kind.reason,
        noise_floor=manifest.noise_floor,
        articles=_articles(splits.test, test, overall, labelled),
        speed=scored.speed,
        size_bytes=sum(path.stat().st_size for path in model_dir.rglob("*") if path.is_file()),
        hashes={**now, "scoring_sha256": filter.scoring_sha256},
        predictions_sha256=predictions_sha256(test),
        date=str(metadata.get("finished_at", "")),
        warnings=_warnings(metadata, manifest),
    )


def _incumbent(
    filter: Filter,
    model: IncumbentModel | None,
    dataset: _Dataset,
    threads: int | None,
    progress: Progress,
) -> Incumbent | str | None:
    if model is None:
        return None
    test, texts = dataset.splits.test, dataset.texts
    return score_incumbent(filter, model, dataset.manifest, test, texts, threads, progress)


def _tripwires(
    dataset: _Dataset,
    record: TrainingRecord,
    scored: _Scored,
    evidence: EvaluationEvidence,
    others: Sequence[OtherVersion],
) -> Tripwires:
    model, predictions = evidence.hashes["model_sha256"], evidence.predictions_sha256
    return find_tripwires(
        record.metadata,
        record.history,
        head_parameters=scored.head_parameters,
        val_mae=mae(scored.val.raw, scored.val.labels),
        manifest=dataset.manifest,
        val=dataset.splits.val,
        test=dataset.splits.test,
        copied=copied_results(record.history_path, model, predictions, others),
    )


def predictions_sha256(test: Predicted) -> str:
    """Hash of what a model predicts for its test articles, to the fourth decimal."""
    return sha256_json([[round(float(value), 4) for value in row] for row in test.predictions])


def _read_splits(manifest: Manifest, filter: Filter, data_dir: Path) -> Splits:
    if manifest.filter.name != filter.name or manifest.filter.dimensions != filter.dimensions:
        made_for = f"{manifest.filter.name} ({', '.join(manifest.filter.dimensions)})"
        raise UserError(
            f"this dataset is for {made_for}, not for {filter.label}",
            where=data_dir,
            hint=f"distillery prepare --filter {filter.label}",
        )
    found = {
        name: list(read_examples(data_dir / f"{name}.jsonl")) for name in ("train", "val", "test")
    }
    for name, examples in found.items():
        if not examples:
            raise UserError("has no rows", where=data_dir / f"{name}.jsonl")
        if any(one.dimension_names != filter.dimensions for one in examples):
            raise UserError(
                "has other dimensions than the filter", where=data_dir / f"{name}.jsonl"
            )
    return Splits(**found)


def read_records(history_path: Path, metadata_path: Path) -> TrainingRecord:
    """training_history.json and training_metadata.json.

    Raises:
        UserError: one is missing or not such a record.
    """
    history, metadata = _json(history_path), _json(metadata_path)
    if not isinstance(history, list) or not history or not isinstance(metadata, dict):
        raise UserError("the training record is not understood", where=history_path.parent)
    for number, epoch in enumerate(history, 1):
        for split in ("train", "val"):
            measured = epoch.get(split) if isinstance(epoch, dict) else None
            if not isinstance(measured, dict) or not isinstance(measured.get("mae"), int | float):
                raise UserError(f"epoch {number} has no {split} MAE", where=history_path)
    return TrainingRecord(history_path, history, metadata)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "`distillery train` writes it; copy it from where the model was trained"
        raise UserError("there is no training record", where=path, hint=hint) from None
    except ValueError as error:
        raise UserError(f"not JSON: {error}", where=path) from None


def _all_overalls(filter: Filter, splits: Splits) -> Array:
    """Labelled overall scores of the whole dataset by today's rules, [articles]."""
    every = [*splits.train, *splits.val, *splits.test]
    texts = [pattern_text(one.title, one.content) for one in every]
    return overall_scores(filter, labels_of(every), texts)


def _predicted(examples: Sequence[Example], scores: Scores) -> Predicted:
    """A split with predictions; rows without a group stand for themselves."""
    groups = tuple(one.group or f"article {one.id}" for one in examples)
    return Predicted(labels_of(examples), scores.deployed, scores.own, groups)


def _hashes_now(filter: Filter, manifest: Manifest, data_dir: Path, model: str) -> dict[str, str]:
    """What the training record has to agree with, recomputed from the files."""
    actual = {
        name: split.model_copy(update={"sha256": _file_hash(data_dir / split.file)})
        for name, split in manifest.splits.items()
    }
    return {
        "model_sha256": model,
        "dataset_sha256": dataset_sha256(actual),
        "manifest_sha256": sha256_file(data_dir / MANIFEST),
        "prompt_sha256": filter.prompt_sha256,
        "text_view_sha256": filter.text_view_sha256,
        "dimensions_sha256": filter.dimensions_sha256,
    }


def _file_hash(path: Path) -> str:
    return sha256_file(path) if path.is_file() else "missing"


def _articles(
    examples: Sequence[Example], test: Predicted, overall: Array, labelled: Array
) -> tuple[TestArticle, ...]:
    errors = article_errors(test.predictions, test.labels)
    return tuple(
        TestArticle(
            id=one.id,
            title=one.title,
            labelled=float(labelled[at]),
            predicted=float(overall[at]),
            error=float(errors[at]),
            content=one.content,
            labels=one.labels,
            predictions=tuple(float(value) for value in test.predictions[at]),
        )
        for at, one in enumerate(examples)
    )


def _warnings(metadata: Mapping[str, Any], manifest: Manifest) -> tuple[str, ...]:
    cut_off = metadata.get("complete") is False
    run = "the training run was cut off before its last epoch"
    return (*((run,) if cut_off else ()), *manifest.warnings)
