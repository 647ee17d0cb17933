"""The measurements of the model evaluation table, as pure functions of the evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distillery_core.agents.calibration_lines import Measured
from distillery_core.agents.evaluation_evidence import EvaluationEvidence, Predicted
from distillery_core.student.measures.bootstrap import (
    Interval,
    bootstrap_means,
    gap_bootstrap,
    paired_average_precision,
    paired_bootstrap,
)
from distillery_core.student.measures.metrics import (
    Array,
    article_errors,
    average_precision,
    mae,
    operating_point,
    rmse,
    skill,
)
from distillery_core.verdicts.measurement import Measurement, not_applicable, rate

GOOD_MAE = 1.1
POOR_MAE = 1.2
IMPLAUSIBLE_MAE = 0.1
FLAT_VARIANCE_SHARE = 0.01
"""Limits that the criteria table names inside its lines (seed and criteria)."""

ENOUGH_TO_VARY = 200
"""Test articles from which constant labels are no accident; the table's own minimum for DEPLOY."""

_STEPS_NEEDED = 3


def evaluation_measurements(evidence: EvaluationEvidence, operating_at: float) -> Measured:
    """Every line of the model evaluation table.

    Args:
        operating_at: threshold of the lowest tier of interest, 0-10.
    """
    return {
        **error_lines(evidence.test, evidence.dimensions),
        **_gaps(evidence),
        **epoch_lines(evidence.val_errors, evidence.kept_epoch),
        **_baselines(evidence),
        **_records(evidence),
        **_needle(evidence, operating_at),
        "against_incumbent": _incumbent(evidence, operating_at),
    }


def dimension_maes(split: Predicted) -> Array:
    """MAE of each dimension, [dimensions]."""
    errors: Array = np.abs(split.predictions - split.labels).mean(axis=0)
    return errors


def error_lines(test: Predicted, dimensions: Sequence[str]) -> Measured:
    """The lines on the size of the error, which need predictions and labels only."""
    n = len(test)
    errors = dimension_maes(test)
    worst = int(errors.argmax())
    count = len(errors)
    good, poor = int((errors < GOOD_MAE).sum()), int((errors > POOR_MAE).sum())
    squares = np.square(test.predictions - test.labels).mean(axis=1)
    columns = np.stack([article_errors(test.predictions, test.labels), squares], axis=1)
    absolute, squared = bootstrap_means(columns, test.groups)
    root = rmse(test.predictions, test.labels)
    return {
        "test_articles": Measurement(n, n=n),
        "test_mae": _interval(absolute, n),
        "test_rmse": Measurement(root, n=n, low=squared.low**0.5, high=squared.high**0.5),
        "dimensions_good": Measurement(good / count, n=count, count=good),
        "dimensions_poor": Measurement(poor / count, n=count, count=poor),
        "worst_dimension": Measurement(float(errors[worst]), n=n, note=dimensions[worst]),
    }


def _gaps(evidence: EvaluationEvidence) -> Measured:
    """Of the uncalibrated scores: score calibration was fitted on validation."""
    test, val = evidence.test, evidence.val
    gap = gap_bootstrap(
        article_errors(test.raw, test.labels),
        article_errors(val.raw, val.labels),
        test.groups,
        val.groups,
    )
    at = evidence.kept_epoch - 1
    to_train = evidence.val_errors[at] - evidence.train_errors[at]
    return {
        "test_validation_gap": _interval(gap, len(test)),
        "validation_train_gap": Measurement(to_train, n=len(val)),
    }


def epoch_lines(errors: Sequence[float], kept: int) -> Measured:
    """The lines on the course of training.

    Args:
        errors: validation MAE by epoch.
        kept: the epoch (1-based) whose checkpoint was kept.
    """
    if len(errors) < 2:
        why = not_applicable("one epoch")
        return {"epochs_improving": why, "largest_rise": why, "none_better_than_first": why}
    changes = np.diff(errors)
    falls = int((changes[: kept - 1] < 0).sum())
    return {
        "epochs_improving": Measurement(falls / (kept - 1), n=kept - 1, count=falls)
        if kept > 1
        else not_applicable("the first epoch was kept"),
        "largest_rise": Measurement(max(float(changes.max()), 0.0), n=len(changes)),
        "none_better_than_first": Measurement(float(min(errors[1:]) >= errors[0]), n=len(errors))
        if len(errors) >= _STEPS_NEEDED
        else not_applicable("fewer than 3 epochs"),
    }


def _baselines(evidence: EvaluationEvidence) -> Measured:
    test = evidence.test
    own = float(article_errors(test.predictions, test.labels).mean())
    constant_mae = mae(evidence.constant, test.labels)
    return {
        "skill": Measurement(
            skill(own, constant_mae),
            n=len(test),
            note=f"the constant has a test MAE of {constant_mae:.3f}",
        ),
        "against_tfidf": _against(test, evidence.tfidf, "TF-IDF + ridge"),
        "against_source": not_applicable("fewer than two news sources are known")
        if evidence.source is None
        else _against(test, evidence.source, "the median of the article's source"),
    }


def _against(test: Predicted, other: Array, name: str) -> Measurement:
    """MAE minus that of another predictor on the same articles: below 0 is better."""
    own = article_errors(test.predictions, test.labels)
    difference = paired_bootstrap(own, article_errors(other, test.labels), test.groups)
    note = f"{name} has a test MAE of {mae(other, test.labels):.3f}"
    return _interval(difference, len(test), note)


def _records(evidence: EvaluationEvidence) -> Measured:
    findings = implausible(evidence.test, evidence.dimensions, evidence.val.labels)
    return {
        "implausible": Measurement(len(findings), note="; ".join(findings)),
        "leak": Measurement(evidence.leaking, n=len(evidence.test), note=evidence.leak_note),
        "record_agrees": Measurement(
            evidence.record.grade, note="; ".join(evidence.record.findings)
        ),
        "tripwires": Measurement(
            evidence.tripwires.grade,
            note="; ".join(evidence.tripwires.fired or evidence.tripwires.unknown),
        ),
        "dataset_qa": Measurement(evidence.dataset_grade, note=", ".join(evidence.dataset_lines)),
    }


def implausible(test: Predicted, names: Sequence[str], val_labels: Array | None) -> list[str]:
    """What no honest training on real labels gives.

    In fewer than `ENOUGH_TO_VARY` test articles a rare dimension may be 0 throughout by chance, if
    it varies in validation; so small a test set is a REVIEW anyway.

    Args:
        val_labels: [articles, dimensions]; None where they are not at hand.
    """
    found = []
    error = mae(test.predictions, test.labels)
    if error < IMPLAUSIBLE_MAE:
        found.append(f"a test MAE of {error:.3f} is too good to be true")
    varies = np.zeros(len(names)) if val_labels is None else val_labels.var(axis=0)
    by_chance = (varies > 0) & (len(test) < ENOUGH_TO_VARY)
    label_variance, variance = test.labels.var(axis=0), test.predictions.var(axis=0)
    for at, name in enumerate(names):
        if label_variance[at] == 0:
            if not by_chance[at]:
                found.append(f"the labels of {name} are constant")
        elif variance[at] == 0:
            found.append(f"the predictions of {name} are constant")
        elif variance[at] < FLAT_VARIANCE_SHARE * label_variance[at]:
            found.append(f"the predictions of {name} hardly vary")
    return found


def _needle(evidence: EvaluationEvidence, operating_at: float) -> Measured:
    """Finding rare content, always computed; it decides for needle filters."""
    positive = evidence.labelled_overall >= operating_at
    point = operating_point(evidence.overall, evidence.labelled_overall, operating_at)
    precision = average_precision(positive, evidence.overall)
    base = float(positive.mean()) if len(positive) else 0.0
    lift = precision / base if precision is not None else None
    note = "" if precision is None else f"average precision {precision:.3f}, base rate {base:.3f}"
    return {
        "needle_recall": rate(point.true_positives, point.positives),
        "needle_precision": rate(point.true_positives, point.predicted),
        "needle_average_precision": Measurement(lift, n=len(positive), note=note),
        "needle_against_tfidf": _needle_against_tfidf(evidence, positive),
    }


def _needle_against_tfidf(evidence: EvaluationEvidence, positive: Array) -> Measurement:
    if evidence.kind == "general":
        return not_applicable("for needle filters only")
    own, other, groups = evidence.overall, evidence.tfidf_overall, evidence.test.groups
    difference = paired_average_precision(positive, own, other, groups)
    return _interval(difference, len(positive))


def _incumbent(evidence: EvaluationEvidence, operating_at: float) -> Measurement:
    """MAE gained (positive: worse) against the version in use; average precision for a needle."""
    incumbent = evidence.incumbent
    if incumbent is None:
        return not_applicable(evidence.no_incumbent)
    rows, n = incumbent.rows, len(incumbent.predictions)
    note = f"against {incumbent.name}"
    if n == 0:
        return not_applicable("no test article is new to both versions")
    test = evidence.test.take(rows)
    if evidence.kind == "general":
        own = article_errors(test.predictions, test.labels)
        other = article_errors(incumbent.predictions, test.labels)
        return _interval(paired_bootstrap(own, other, test.groups), n, note)
    positive = evidence.labelled_overall[rows] >= operating_at
    overall = evidence.overall[rows]
    lost = paired_average_precision(positive, incumbent.overall, overall, test.groups)
    return _interval(lost, n, note)


def _interval(interval: Interval | None, n: int, note: str = "") -> Measurement:
    if interval is None:
        return Measurement(n=n, note=note or "no positive article")
    return Measurement(interval.value, n=n, low=interval.low, high=interval.high, note=note)
