"""What the quality benchmarks share: baselines, one training run, figures and their tables."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from page import BENCHMARKS_PAGE, ROOT, machine, write_block

from distillery_core.agents.evaluation_baselines import (
    Splits,
    embedding_predictions,
    labels_of,
    tfidf_predictions,
)
from distillery_core.dataset.rows import Example, read_examples
from distillery_core.files import write_json
from distillery_core.filters import Filter
from distillery_core.reports.markdown import inline_code, table
from distillery_core.student.embeddings import embed
from distillery_core.student.frozen.untrained import BaseFeatures
from distillery_core.student.measures import baselines
from distillery_core.student.measures.metrics import Array
from distillery_core.student.predict import load_model, predict
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train

RESULTS_FILE = ROOT / "docs" / "data" / "bench_quality.json"
CONSTANT = "constant (median of the training labels), here"
TFIDF = "TF-IDF + ridge, here"
FROZEN = "frozen MiniLM + ridge, here"


@dataclass(frozen=True)
class Quality:
    """How good predictions are; what is not known is None or empty.

    Attributes:
        mae, rmse, pearson: means over the dimensions, on the scale of the labels.
        dimension_mae, dimension_rmse, dimension_pearson: in the order of the dimensions.
    """

    mae: float
    rmse: float | None = None
    pearson: float | None = None
    dimension_mae: tuple[float, ...] = ()
    dimension_rmse: tuple[float, ...] = ()
    dimension_pearson: tuple[float, ...] = ()


@dataclass(frozen=True)
class Trained:
    """A training run: its scores of the test articles, and what the training alone took."""

    values: Array
    cpu_s: float
    wall_s: float


def train_and_predict(
    filter: Filter, data_dir: Path, output_dir: Path, settings: TrainSettings
) -> Trained:
    """Train on a dataset folder; its test articles get the scores that the scorer would give them,
    after the model's own calibration on validation where it has one."""
    started, cpu = time.monotonic(), time.process_time()
    result = train(filter, data_dir, output_dir, settings)
    cpu_s, wall_s = time.process_time() - cpu, time.monotonic() - started
    test = read_examples(data_dir / "test.jsonl")
    student = load_model(result.model_dir, settings.device)
    return Trained(predict(student, test, threads=settings.threads).values, cpu_s, wall_s)


def splits_of(folder: Path) -> Splits:
    """The three splits of a dataset folder."""
    return Splits(*(read_examples(folder / f"{name}.jsonl") for name in ("train", "val", "test")))


def baseline_predictions(
    filter: Filter, settings: TrainSettings, splits: Splits
) -> dict[str, Array]:
    """What each baseline gives the test articles; all read the same of an article as the student.

    Ridge's strength is chosen on validation.
    """
    constant = baselines.constant(labels_of(splits.train), len(splits.test))
    features = BaseFeatures(
        *(embeddings(filter, settings, part) for part in (splits.train, splits.val, splits.test))
    )
    return {
        CONSTANT: constant,
        TFIDF: tfidf_predictions(filter, splits.train, splits),
        FROZEN: embedding_predictions(features, splits),
    }


def embeddings(filter: Filter, settings: TrainSettings, examples: Sequence[Example]) -> Array:
    """Of the student's base as it is, read up to the student's length."""
    articles = [(one.id, one.title, one.content) for one in examples]
    text, length = filter.config.text, settings.max_length
    return embed(settings.model_name, articles, text, max_length=length, threads=settings.threads)


def quality(values: Array, labels: Array, unit: float = 1.0, correlates: bool = True) -> Quality:
    """Measure predictions, [articles, dimensions].

    Args:
        unit: of the 0-10 scale, which is 1 on the scale that is reported.
        correlates: False for a constant, whose correlation would only be that of its medians.
    """
    errors = (values.astype(np.float64) - labels) / unit
    absolute, root = np.abs(errors).mean(axis=0), np.sqrt(np.square(errors).mean(axis=0))
    columns = range(labels.shape[1]) if correlates else ()
    pearson = [float(np.corrcoef(values[:, at], labels[:, at])[0, 1]) for at in columns]
    return Quality(
        mae=float(absolute.mean()),
        rmse=float(root.mean()),
        pearson=float(np.mean(pearson)) if pearson else None,
        dimension_mae=tuple(absolute.tolist()),
        dimension_rmse=tuple(root.tolist()),
        dimension_pearson=tuple(pearson),
    )


def mean_of(found: Sequence[Quality]) -> Quality:
    """Each figure's mean over runs that know all of them."""
    means: dict[str, Any] = {}
    for field in fields(Quality):
        mean = np.mean([getattr(one, field.name) for one in found], axis=0)
        means[field.name] = tuple(mean.tolist()) if mean.ndim else float(mean)
    return Quality(**means)


def tables(found: Mapping[str, Quality], dimensions: Sequence[str], digits: int) -> str:
    """Two tables: figures overall with Pearson per dimension; MAE and RMSE per dimension."""

    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    many = len(dimensions)
    overall = (
        (
            *(name, shown(one.mae), shown(one.rmse), shown(one.pearson)),
            *map(shown, one.dimension_pearson or (None,) * many),
        )
        for name, one in found.items()
    )
    errors = (
        (name, *(f"{shown(a)} / {shown(r)}" for a, r in _paired(one)))
        for name, one in found.items()
        if one.dimension_mae
    )
    head = ("predictor", "MAE", "RMSE", "Pearson", *(f"Pearson {name}" for name in dimensions))
    first = table(head, overall, right=range(1, many + 4))
    second = table(("MAE / RMSE", *dimensions), errors, right=range(1, many + 1))
    return f"{first}\n\n{second}"


def _paired(one: Quality) -> list[tuple[float, float]]:
    return list(zip(one.dimension_mae, one.dimension_rmse, strict=True))


def settings_line(settings: TrainSettings, file: str) -> str:
    """Where a student's settings stand, and the most telling of them."""
    dropout = "the base's own" if settings.dropout is None else f"{settings.dropout:g}"
    head_rate = settings.head_learning_rate or settings.learning_rate
    drawn = f", R-Drop {settings.r_drop:g}" if settings.r_drop else ""
    head = ", the head begins as a ridge" if settings.head_init == "ridge" else ""
    return (
        f"Settings: `training:` of `{file}`, that is "
        f"{inline_code(settings.model_name)}, {settings.max_length} tokens, {settings.epochs} "
        f"epochs, batches of {settings.effective_batch}, rates {settings.learning_rate:g} (base) "
        f"and {head_rate:g} (head), dropout {dropout}{drawn}{head}; {settings.threads} thread."
    )


def where(load_before: float) -> dict[str, str]:
    """Date, machine, load and versions of a measurement that ends now."""
    packages = ("torch", "transformers", "scikit-learn")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "load": f"{load_before:.1f} before, {os.getloadavg()[0]:.1f} after",
        "versions": ", ".join(f"{name} {version(name)}" for name in packages),
    }


def where_line(place: Mapping[str, str]) -> str:
    """The same in words."""
    return (
        f"{place['date']}, {place['machine']}; load average {place['load']}; {place['versions']}."
    )


def keep(
    part: str, record: Mapping[str, Any], block: str, text: str, results: Mapping[str, str]
) -> None:
    """Write one benchmark's raw figures and its block of the page, which ends with the results;
    the other benchmark's stay."""
    known: dict[str, Any] = {}
    if RESULTS_FILE.exists():
        known = json.loads(RESULTS_FILE.read_text(encoding="utf-8"))
    write_json(RESULTS_FILE, known | {part: {**record, "results": dict(results)}})
    lines = "\n".join(f"- `{name}={value}`" for name, value in results.items())
    write_block(BENCHMARKS_PAGE, block, f"{text}\n\n{lines}")
