"""Judges old or foreign results by their files alone: history, record and, where there are any,
predictions. What cannot be measured without model and data is said, and never reads DEPLOY."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distillery_core.agents.calibration_lines import Measured
from distillery_core.agents.evaluation_evidence import Predicted
from distillery_core.agents.evaluation_lines import epoch_lines, error_lines, implausible
from distillery_core.agents.record_check import size_findings
from distillery_core.agents.tripwires import find_tripwires
from distillery_core.dataset.lines import Line, read_lines
from distillery_core.dataset.rows import parse_line
from distillery_core.errors import UserError
from distillery_core.student.measures.metrics import article_errors
from distillery_core.types import SCORE_MAX, SCORE_MIN, Level
from distillery_core.verdicts.criteria import Criteria
from distillery_core.verdicts.decision import Decision, Lowered, decide
from distillery_core.verdicts.measurement import Measurement, not_applicable

_WITHOUT = {
    "skill": "the training labels are not at hand",
    "against_tfidf": "the training articles are not at hand",
    "against_source": "the training articles are not at hand",
    "leak": "the articles are not at hand",
    "dataset_qa": "the dataset's manifest is not at hand",
    "needle_recall": "no filter's score rules were applied",
    "needle_precision": "no filter's score rules were applied",
    "needle_average_precision": "no filter's score rules were applied",
    "needle_against_tfidf": "the training articles are not at hand",
}
_WITHOUT_PREDICTIONS = (
    "test_articles",
    "test_mae",
    "test_rmse",
    "dimensions_good",
    "dimensions_poor",
    "worst_dimension",
    "test_validation_gap",
    "implausible",
)

_UNSEEN = "the rule that a model nobody loaded is not deployed"


@dataclass(frozen=True)
class ResultFiles:
    """What was left of a training run.

    Attributes:
        history: training_history.json; each epoch has at least `val.mae`.
        metadata: training_metadata.json.
        test: predictions.jsonl, None where there is none.
    """

    history: Sequence[Mapping[str, Any]]
    metadata: Mapping[str, Any]
    dimensions: tuple[str, ...]
    test: Predicted | None = None


def read_result_files(
    history: Path, metadata: Path, predictions: Path | None = None
) -> ResultFiles:
    """Read a run's files.

    predictions.jsonl holds one test article a line, `{"id": "...", "labels": {...},
    "predictions": {...}}`: scores by dimension, or lists in the record's `dimension_names` order.

    Raises:
        UserError: a file is missing or not understood, with the line.
    """
    epochs, record = _json(history), _json(metadata)
    if not isinstance(epochs, list) or not epochs:
        raise UserError("holds no list of epochs", where=history)
    for number, epoch in enumerate(epochs, 1):
        if _epoch_mae(epoch, "val") is None:
            raise UserError(f"epoch {number} has no val MAE", where=history)
    if not isinstance(record, dict):
        raise UserError("holds no object", where=metadata)
    named = record.get("dimension_names")
    names = tuple(map(str, named)) if isinstance(named, list) else ()
    if predictions is None:
        return ResultFiles(epochs, record, names)
    test, names = _read_predictions(predictions, names)
    return ResultFiles(epochs, record, names, test)


def judge_files(files: ResultFiles, table: Criteria, kind: str = "general") -> Decision:
    """The verdict as far as these files go: REVIEW at best.

    Lines that need model or data are insufficient evidence ("not checkable"). Where a project's own
    table has none of them, the verdict is lowered all the same.
    """
    measured = measure_files(files)
    found = decide(table, measured, kind)
    if found.level is not Level.OK:
        return found
    return decide(table, measured, kind, Lowered(Level.REVIEW, _UNSEEN, _UNSEEN))


def measure_files(files: ResultFiles) -> Measured:
    """Every line of the model evaluation table, those that cannot be measured with the reason."""
    errors = [float(epoch["val"]["mae"]) for epoch in files.history]
    kept = _kept(files.metadata, errors)
    absent = {name: _not_checkable(why) for name, why in _WITHOUT.items()}
    return {
        **absent,
        **_of_predictions(files, errors[kept - 1]),
        **epoch_lines(errors, kept),
        "validation_train_gap": _to_train(files.history[kept - 1], errors[kept - 1]),
        "record_agrees": _record(files.metadata),
        "tripwires": _tripwires(files),
        "against_incumbent": not_applicable("no model to compare"),
    }


def _not_checkable(why: str) -> Measurement:
    return Measurement(note=f"not checkable: {why}")


def _kept(metadata: Mapping[str, Any], errors: Sequence[float]) -> int:
    recorded = metadata.get("best_epoch")
    if isinstance(recorded, int) and 1 <= recorded <= len(errors):
        return recorded
    return errors.index(min(errors)) + 1


def _of_predictions(files: ResultFiles, val_mae: float) -> Measured:
    test = files.test
    if test is None:
        why = _not_checkable("there are no test predictions")
        return dict.fromkeys(_WITHOUT_PREDICTIONS, why)
    gap = float(article_errors(test.predictions, test.labels).mean()) - val_mae
    found = implausible(test, files.dimensions, None)
    return {
        **error_lines(test, files.dimensions),
        "test_validation_gap": Measurement(
            gap, n=len(test), note="no interval: the validation predictions are not at hand"
        ),
        "implausible": Measurement(len(found), note="; ".join(found)),
    }


def _to_train(epoch: Mapping[str, Any], val_mae: float) -> Measurement:
    train = _epoch_mae(epoch, "train")
    if train is None:
        return _not_checkable("the history has no train MAE")
    return Measurement(val_mae - train)


def _record(metadata: Mapping[str, Any]) -> Measurement:
    """Name and parameter count; hashes need the files that they are of."""
    findings = list(size_findings(metadata, None))
    if findings:
        return Measurement(1, note="; ".join(findings))
    return _not_checkable("the hashes' files are not at hand (name and parameter count agree)")


def _tripwires(files: ResultFiles) -> Measurement:
    """What fires without model and data; silence proves nothing."""
    found = find_tripwires(files.metadata, files.history)
    if found.fired:
        return Measurement(2, note="; ".join(found.fired))
    return _not_checkable("model and data are not at hand (nothing found in the record)")


def _epoch_mae(epoch: Any, split: str) -> float | None:
    measured = epoch.get(split) if isinstance(epoch, dict) else None
    value = measured.get("mae") if isinstance(measured, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _read_predictions(path: Path, names: tuple[str, ...]) -> tuple[Predicted, tuple[str, ...]]:
    labels, predictions, ids = [], [], set()
    for line in read_lines(path):
        try:
            row = parse_line(line)
            names = names or tuple(row["labels"])
            labels.append(_scores(row["labels"], names))
            predictions.append(_scores(row["predictions"], names))
            ids.add(row["id"])
        except (KeyError, TypeError, ValueError) as error:
            raise _not_a_prediction(path, line, error) from None
        if len(ids) < len(labels):
            raise _not_a_prediction(path, line, ValueError(f"the id {row['id']!r} stood before"))
    if not labels:
        raise UserError("has no rows", where=path)
    return Predicted(np.array(labels), np.array(predictions)), names


def _scores(given: Any, names: tuple[str, ...]) -> list[float]:
    if isinstance(given, Mapping):
        if set(given) != set(names):
            raise ValueError(f"dimensions are {', '.join(given)}, not {', '.join(names)}")
        given = [given[name] for name in names]
    scores = [float(value) for value in given]
    if len(scores) != len(names):
        raise ValueError(f"{len(scores)} scores for {len(names)} dimensions")
    if not all(SCORE_MIN <= value <= SCORE_MAX for value in scores):
        raise ValueError("a score is not within 0-10")
    return scores


def _not_a_prediction(path: Path, line: Line, error: Exception) -> UserError:
    what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
    hint = '{"id": "a1", "labels": {"harm": 3}, "predictions": {"harm": 2.6}}'
    return UserError(f"not a prediction: {what}", where=f"{path}:{line.number}", hint=hint)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=path) from None
    except ValueError as error:
        raise UserError(f"not JSON: {error}", where=path) from None
