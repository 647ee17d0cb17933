"""Collects the evidence on a model: predicts, fits the baselines, recomputes hashes and leaks."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from distillery_core.agents.evaluation_evidence import (
    Baseline,
    EvaluationEvidence,
    Incumbent,
    Predicted,
    Speed,
    TestArticle,
    overall_scores,
)
from distillery_core.agents.record_check import check_record
from distillery_core.dataset.duplicates import KnownTexts
from distillery_core.dataset.leaks import leaks_in
from distillery_core.dataset.manifest import (
    MANIFEST,
    Manifest,
    dataset_sha256,
    load_manifest,
)
from distillery_core.dataset.quality import filter_kind
from distillery_core.dataset.rows import Example, read_examples
from distillery_core.errors import CheckFailed, UserError
from distillery_core.files import sha256_file
from distillery_core.filters.filter import Filter
from distillery_core.filters.text_view import pattern_text, student_text, text_view
from distillery_core.student import baselines
from distillery_core.student.metrics import Array, article_errors
from distillery_core.types import Progress, silent

if TYPE_CHECKING:
    from distillery_core.student.predict import Student

HISTORY = "training_history.json"
METADATA = "training_metadata.json"
_LATENCY_ARTICLES = 20


@dataclass(frozen=True)
class IncumbentModel:
    """The version in use: its name for the report, its model folder, and what it was trained on."""

    name: str
    model_dir: Path
    data_dir: Path


@dataclass(frozen=True)
class Splits:
    """The three splits of a dataset folder."""

    train: list[Example]
    val: list[Example]
    test: list[Example]


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
    threads: int | None = None,
    progress: Progress = silent,
) -> Gathered:
    """Everything the evaluation agent judges, measured now.

    Args:
        record_dir: where training_history.json and training_metadata.json lie; default the model
            folder's parent.

    Raises:
        UserError: model, dataset or records are missing or belong to another filter.
        CheckFailed: the model predicts something that is not a number.
    """
    from distillery_core.student.checkpoint import model_sha256
    from distillery_core.student.model_card import check_card
    from distillery_core.student.predict import load_model

    manifest = load_manifest(data_dir)
    splits = _read_splits(manifest, filter, data_dir)
    history, metadata = _records(record_dir or model_dir.parent)
    student = load_model(model_dir)
    check_card(student.card, filter, model_dir)
    progress(0, None, "predicting validation and test")
    val = Predicted(_labels(splits.val), _predict(student, splits.val, threads))
    started = time.perf_counter()
    test = Predicted(_labels(splits.test), _predict(student, splits.test, threads))
    seconds = time.perf_counter() - started
    speed = _speed(student, splits.test, seconds, threads)
    progress(0, None, "fitting the baselines")
    texts = [pattern_text(one.title, one.content) for one in splits.test]
    tfidf = _tfidf(filter, splits)
    overall = overall_scores(filter, test.predictions, texts)
    labelled = overall_scores(filter, test.labels, texts)
    progress(0, None, "looking for leaks")
    leak = leaks_in(data_dir)
    now = _hashes_now(filter, manifest, data_dir, model_sha256(model_dir))
    quality = manifest.quality
    kind = filter_kind(filter, _all_overalls(filter, splits))
    evidence = EvaluationEvidence(
        dimensions=filter.dimensions,
        val=val,
        test=test,
        overall=overall,
        labelled_overall=labelled,
        constant=baselines.constant(_labels(splits.train), len(splits.test)),
        tfidf=tfidf,
        tfidf_overall=overall_scores(filter, tfidf, texts),
        epochs=history,
        metadata=metadata,
        record=check_record(metadata, model_dir, now),
        leaking=max(leak.test, manifest.leak.test),
        leak_note=f"for example {', '.join(leak.examples[:3])}" if leak.test else "",
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
        further=_further(splits),
        speed=speed,
        incumbent=None,
        size_bytes=sum(path.stat().st_size for path in model_dir.rglob("*") if path.is_file()),
        hashes={**now, "scoring_sha256": filter.scoring_sha256},
        date=str(metadata.get("finished_at", "")),
        warnings=_warnings(metadata, manifest),
    )
    if incumbent is not None:
        evidence = replace(
            evidence, incumbent=_incumbent(filter, incumbent, splits.test, texts, threads)
        )
    return Gathered(evidence, splits.test)


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


def _records(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    history, metadata = _json(folder / HISTORY), _json(folder / METADATA)
    if not isinstance(history, list) or not history or not isinstance(metadata, dict):
        raise UserError("the training record is not understood", where=folder)
    for number, epoch in enumerate(history, 1):
        for split in ("train", "val"):
            if not isinstance(epoch.get(split, {}).get("mae"), int | float):
                where = folder / HISTORY
                raise UserError(f"epoch {number} has no {split} MAE", where=where)
    return history, metadata


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
    return overall_scores(filter, _labels(every), texts)


def _labels(examples: Sequence[Example]) -> Array:
    return np.array([one.labels for one in examples], dtype=np.float32)


def _predict(student: Student, examples: Sequence[Example], threads: int | None) -> Array:
    from distillery_core.student.predict import predict

    values = predict(student, examples, threads=threads).values
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        ids = [examples[int(row)].id for row in bad[:5]]
        raise CheckFailed(
            f"the model's prediction is not a number for {len(bad)} articles",
            reasons=[f"for example {', '.join(ids)}"],
            hint="train again, in float32",
        )
    return values


def _speed(
    student: Student, examples: Sequence[Example], seconds: float, threads: int | None
) -> Speed:
    """Latency as the median over single articles, throughput over the whole test split."""
    from distillery_core.student.device import describe, pick_threads
    from distillery_core.student.predict import predict

    times = []
    for one in examples[:_LATENCY_ARTICLES]:
        started = time.perf_counter()
        predict(student, [one], threads=threads)
        times.append(time.perf_counter() - started)
    return Speed(
        device=describe(student.device),
        latency_s=round(median(times), 6),
        articles_per_s=round(len(examples) / max(seconds, 1e-9), 6),
        threads=pick_threads(threads),
    )


def _tfidf(filter: Filter, splits: Splits) -> Array:
    def texts(examples: Sequence[Example]) -> list[str]:
        config = filter.config.text
        return [student_text(text_view(one.title, one.content, config)) for one in examples]

    return baselines.tfidf_ridge(
        texts(splits.train),
        _labels(splits.train),
        texts(splits.val),
        _labels(splits.val),
        texts(splits.test),
    )


def _further(splits: Splits) -> tuple[Baseline, ...]:
    """The median of each news source, where there is more than one source to tell apart."""
    sources = [one.source for one in splits.train]
    if len(set(sources) - {None}) < 2:
        return ()
    wanted = [one.source for one in splits.test]
    predictions = baselines.per_source(_labels(splits.train), sources, wanted)
    return (Baseline("median of the article's source, without reading", predictions),)


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
        TestArticle(one.id, one.title or one.content[:90], float(true), float(value), float(error))
        for one, true, value, error in zip(examples, labelled, overall, errors, strict=True)
    )


def _warnings(metadata: Mapping[str, Any], manifest: Manifest) -> tuple[str, ...]:
    cut_off = metadata.get("complete") is False
    run = "the training run was cut off before its last epoch"
    return (*((run,) if cut_off else ()), *manifest.warnings)


def _incumbent(
    filter: Filter,
    model: IncumbentModel,
    test: Sequence[Example],
    texts: Sequence[str],
    threads: int | None,
) -> Incumbent | None:
    """The version in use, on test articles that it was not trained on either."""
    from distillery_core.student.predict import load_model

    student = load_model(model.model_dir)
    if student.dimensions != filter.dimensions:
        return None
    known = KnownTexts()
    for split in ("train", "val"):
        for one in read_examples(model.data_dir / f"{split}.jsonl"):
            known.add(one.content)
    rows = [row for row, one in enumerate(test) if one.content not in known]
    predictions = _predict(student, [test[row] for row in rows], threads)
    return Incumbent(
        name=model.name,
        rows=np.array(rows, dtype=np.int64),
        predictions=predictions,
        overall=overall_scores(filter, predictions, [texts[row] for row in rows]),
    )
