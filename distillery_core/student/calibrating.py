"""The last act of training: the kept model's scores are calibrated on validation, and recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distillery_core.dataset.rows import Example
from distillery_core.files import write_json
from distillery_core.filters.filter import Filter
from distillery_core.filters.text_view import pattern_text
from distillery_core.student.dataset_check import CheckedDataset
from distillery_core.student.measures.bootstrap import Interval, paired_average_precision
from distillery_core.student.measures.finding import overall_scores
from distillery_core.student.measures.metrics import Array
from distillery_core.student.measures.score_calibration import (
    CALIBRATION,
    Finding,
    MapKind,
    ScoreCalibration,
    fit_calibration,
)
from distillery_core.student.model_folder import model_sha256
from distillery_core.student.predict import load_model, predict
from distillery_core.student.record import write_metadata
from distillery_core.student.settings import TrainSettings

if TYPE_CHECKING:
    from distillery_core.student.result import TrainResult
    from distillery_core.student.run import Say


def calibrate_saved(
    result: TrainResult,
    filter: Filter,
    dataset: CheckedDataset,
    output_dir: Path,
    settings: TrainSettings,
    say: Say,
) -> TrainResult:
    """Fit maps and intervals for the model of a finished run and store them in its folder.

    On a needle filter maps are kept only if they find no worse. A model with too few validation
    articles for either gets none. The training record then names the hash of the folder as it is
    with them, and says what they do.
    """
    student = load_model(result.model_dir, settings.device)
    val = dataset.val
    scores = predict(student, val, threads=settings.threads, calibrated=False).values
    labels = np.array([one.labels for one in val], dtype=np.float32)
    groups = [one.group or f"article {one.id}" for one in val]
    finding = _finding(filter, val, labels, groups) if dataset.kind == "needle" else None
    found = fit_calibration(scores, labels, student.dimensions, groups, finding)
    if found.map or found.has_intervals:
        write_json(result.model_dir / CALIBRATION, found.model_dump(mode="json"))
    say(_line(found))
    apart = {"dimensions", "schema_version"} | (set() if found.has_intervals else {"coverage"})
    record = found.model_dump(mode="json", exclude=apart)
    hashes = {**result.metadata["hashes"], "model_sha256": model_sha256(result.model_dir)}
    metadata = {**result.metadata, "hashes": hashes, "score_calibration": record}
    write_metadata(output_dir, metadata)
    return replace(result, metadata=metadata)


def _finding(
    filter: Filter, val: Sequence[Example], labels: Array, groups: Sequence[object]
) -> Finding:
    """By the overall score, of articles at or above the operating point."""
    texts = [pattern_text(one.title, one.content) for one in val]
    positive = overall_scores(filter, labels, texts) >= filter.operating_point

    def compare(scores: Array, others: Array) -> Interval | None:
        first, second = (overall_scores(filter, one, texts) for one in (scores, others))
        return paired_average_precision(positive, first, second, groups)

    return compare


_NAMES: dict[MapKind, str] = {"line": "a straight line", "isotonic": "isotonic regression"}


def _line(found: ScoreCalibration) -> str:
    maps = f"Calibration kept ({_NAMES[found.map]})" if found.map else "No calibration"
    widths = [one.half_width for one in found.dimensions.values() if one.half_width is not None]
    if not widths:
        return f"{maps}: {found.reason}; no intervals"
    mean = sum(widths) / len(widths)
    return f"{maps}: {found.reason}; {found.coverage:.0%} intervals of {mean:.2f} to each side"
