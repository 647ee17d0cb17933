"""The figures an evaluation report shows beside its verdict table, all computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distillery_core.agents.calibration_lines import Measured
from distillery_core.agents.evaluation_evidence import EvaluationEvidence, TestArticle
from distillery_core.agents.evaluation_lines import dimension_maes
from distillery_core.reports.markdown import cut, one_line
from distillery_core.reports.more_epochs import still_gaining
from distillery_core.student.measures.bootstrap import Interval, bootstrap_means
from distillery_core.student.measures.metrics import (
    BANDS,
    Array,
    BandError,
    article_errors,
    band_errors,
    bias,
    mae,
    operating_point,
    rmse,
    spearman,
    within,
)
from distillery_core.student.recorded import frozen_head
from distillery_core.student.selection import chosen_by
from distillery_core.verdicts.decision import Decision

BEST_BELOW = 0.9
CHALLENGING_ABOVE = 1.1
"""MAE of a dimension that the report calls best or challenging (criteria)."""

ENOUGH_SCORES = 10
"""Scores of a label band from which its error is worth naming (as for rates: n >= 10)."""


@dataclass(frozen=True, slots=True)
class DimensionResult:
    """One dimension on test; `noise` is the oracle's own disagreement, where it was measured."""

    name: str
    mae: float
    rmse: float
    bias: float
    spearman: float | None
    constant_mae: float
    tfidf_mae: float
    noise: float | None
    word: str


@dataclass(frozen=True, slots=True)
class SplitResult:
    """One split as a row: errors are None where they were not measured.

    `out_of` is the split's size where the errors are of only a part of it, else None.
    """

    name: str
    articles: int | None
    mae: float | None
    rmse: float | None
    out_of: int | None = None


@dataclass(frozen=True, slots=True)
class EpochResult:
    """One epoch; `change` is against the epoch before."""

    number: int
    train_mae: float
    val_mae: float
    change: float | None
    kept: bool


@dataclass(frozen=True, slots=True)
class Rival:
    """A predictor beside the student on test.

    `low` and `high`: 95 % paired interval of the student's MAE minus its; None for the student.
    """

    name: str
    mae: float
    rmse: float
    spearman: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """How well articles of interest are found at the operating point."""

    threshold: float
    positives: int
    predicted: int
    found: int
    recall: float | None
    precision: float | None
    base_rate: float


@dataclass(frozen=True, slots=True)
class WorstCase:
    """A test article of large error; `scores` are (dimension, labelled, predicted)."""

    id: str
    title: str
    excerpt: str
    labelled: float
    predicted: float
    error: float
    scores: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True, slots=True)
class ReliabilityLine:
    """label = intercept + slope * prediction of one dimension; 1 and 0 where scores mean what they
    say. A slope above 1: the model keeps too close to the middle."""

    dimension: str
    slope: float | None
    intercept: float | None


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Test scores whose prediction lies in one band; means are None for an empty one."""

    band: str
    n: int
    predicted: float | None
    labelled: float | None


@dataclass(frozen=True, slots=True)
class Reliability:
    """Calibration of scores, by dimension and by band of prediction."""

    lines: tuple[ReliabilityLine, ...]
    bins: tuple[ReliabilityBin, ...]


def dimension_results(evidence: EvaluationEvidence) -> list[DimensionResult]:
    """One entry per dimension, in the config's order."""
    return [_dimension(evidence, at) for at in range(len(evidence.dimensions))]


def _dimension(evidence: EvaluationEvidence, at: int) -> DimensionResult:
    name, test = evidence.dimensions[at], evidence.test
    predicted, labels = test.predictions[:, at], test.labels[:, at]
    error = mae(predicted, labels)
    return DimensionResult(
        name=name,
        mae=error,
        rmse=rmse(predicted, labels),
        bias=bias(predicted, labels),
        spearman=spearman(predicted, labels),
        constant_mae=mae(evidence.constant[:, at], labels),
        tfidf_mae=mae(evidence.tfidf[:, at], labels),
        noise=(evidence.noise_floor or {}).get(name),
        word=_word(error),
    )


def _word(error: float) -> str:
    if error < BEST_BELOW:
        return "best"
    return "challenging" if error > CHALLENGING_ABOVE else ""


def split_results(evidence: EvaluationEvidence) -> list[SplitResult]:
    """Train (as the history measured it), validation and test; before any score calibration."""
    splits = (("validation", evidence.val), ("test", evidence.test))
    return [
        _train_result(evidence),
        *(
            SplitResult(
                name, len(split), mae(split.raw, split.labels), rmse(split.raw, split.labels)
            )
            for name, split in splits
        ),
    ]


def _train_result(evidence: EvaluationEvidence) -> SplitResult:
    kept = evidence.epochs[evidence.kept_epoch - 1]["train"]
    examples = evidence.metadata.get("train_examples")
    recorded = evidence.metadata.get("train_evaluated_on")
    evaluated = recorded.get("articles") if isinstance(recorded, Mapping) else None
    if not isinstance(evaluated, int) or evaluated == examples:
        return SplitResult("train", examples, kept["mae"], kept["rmse"])
    return SplitResult("train", evaluated, kept["mae"], kept["rmse"], out_of=examples)


def epoch_results(evidence: EvaluationEvidence) -> list[EpochResult]:
    """One entry per epoch."""
    val, kept = evidence.val_errors, evidence.kept_epoch
    return [
        EpochResult(
            number=at + 1,
            train_mae=evidence.train_errors[at],
            val_mae=val[at],
            change=val[at] - val[at - 1] if at else None,
            kept=at + 1 == kept,
        )
        for at in range(len(val))
    ]


def rivals(evidence: EvaluationEvidence) -> list[Rival]:
    """The student, then every baseline, on the test split."""
    test = evidence.test
    several = [
        ("TF-IDF + ridge", evidence.tfidf),
        ("constant (median of the training labels)", evidence.constant),
        *(
            [("median of the article's source, without reading", evidence.source)]
            if evidence.source is not None
            else []
        ),
        *((one.name, one.predictions) for one in evidence.further),
    ]
    own = article_errors(test.predictions, test.labels)
    ahead = [own - article_errors(some, test.labels) for _, some in several]
    intervals = bootstrap_means(np.stack(ahead, axis=1), test.groups)
    others = [
        _rival(name, some, test.labels, interval)
        for (name, some), interval in zip(several, intervals, strict=True)
    ]
    return [_rival("this model", test.predictions, test.labels), *others]


def _rival(name: str, some: Array, labels: Array, interval: Interval | None = None) -> Rival:
    low, high = (interval.low, interval.high) if interval else (None, None)
    rank = _mean_spearman(some, labels)
    return Rival(name, mae(some, labels), rmse(some, labels), rank, low, high)


def _mean_spearman(predictions: Any, labels: Any) -> float | None:
    ranks = [spearman(predictions[:, at], labels[:, at]) for at in range(labels.shape[1])]
    known = [rank for rank in ranks if rank is not None]
    return float(np.mean(known)) if known else None


def bands(evidence: EvaluationEvidence) -> list[BandError]:
    """Errors per label band over all scores of the test split."""
    return band_errors(evidence.test.predictions, evidence.test.labels)


def finding(evidence: EvaluationEvidence, operating_at: float) -> Finding:
    """Recall and precision of "overall at or above the operating point", for every filter."""
    point = operating_point(evidence.overall, evidence.labelled_overall, operating_at)
    share = float((evidence.labelled_overall >= operating_at).mean())
    return Finding(
        threshold=operating_at,
        positives=point.positives,
        predicted=point.predicted,
        found=point.true_positives,
        recall=point.recall,
        precision=point.precision,
        base_rate=share,
    )


def worst_articles(evidence: EvaluationEvidence, n: int) -> list[TestArticle]:
    """The articles with the largest mean error over dimensions."""
    return sorted(evidence.articles, key=lambda one: (-one.error, one.id))[:n]


def worst_cases(evidence: EvaluationEvidence, n: int, excerpt_chars: int) -> list[WorstCase]:
    """The same as the report shows them, with no more of their text than the filter allows."""
    return [
        WorstCase(
            id=one.id,
            title=one.title or "(no title)",
            excerpt=cut(one_line(one.content), excerpt_chars) if excerpt_chars else "",
            labelled=one.labelled,
            predicted=one.predicted,
            error=one.error,
            scores=tuple(
                (name, float(true), float(value))
                for name, true, value in zip(
                    evidence.dimensions, one.labels, one.predictions, strict=False
                )
            ),
        )
        for one in worst_articles(evidence, n)
    ]


def reliability(evidence: EvaluationEvidence) -> Reliability:
    """Whether a score means what it says: labels against predictions, over all test scores."""
    predictions, labels = evidence.test.predictions, evidence.test.labels
    lines = [
        _straight(name, predictions[:, at], labels[:, at])
        for at, name in enumerate(evidence.dimensions)
    ]
    bins = []
    for band, low, high in BANDS:
        inside = (predictions >= low) & (predictions < high)
        n = int(inside.sum())
        means = (float(predictions[inside].mean()), float(labels[inside].mean())) if n else None
        bins.append(ReliabilityBin(band, n, *(means or (None, None))))
    return Reliability(tuple(lines), tuple(bins))


def _straight(name: str, predictions: Any, labels: Any) -> ReliabilityLine:
    """Least squares of labels on predictions; none for predictions that do not vary."""
    spread = float(np.var(predictions))
    if spread == 0:
        return ReliabilityLine(name, None, None)
    centred = predictions - predictions.mean()
    slope = float((centred * labels).mean() / spread)
    return ReliabilityLine(name, slope, float(labels.mean() - slope * predictions.mean()))


def accuracy(evidence: EvaluationEvidence) -> float:
    """Share of scores within 1.0 of the oracle's (the seed's "accuracy vs oracle")."""
    return within(evidence.test.predictions, evidence.test.labels)


def action_facts(
    evidence: EvaluationEvidence, measured: Measured, computed: Decision
) -> dict[str, Any]:
    """What the actions of agent.yaml name beside their line's own numbers."""
    errors = dimension_maes(evidence.test)
    worst_first = np.argsort(-errors, kind="stable")
    names = [evidence.dimensions[int(at)] for at in worst_first]
    weakest = weakest_band(evidence)
    head, gains = frozen_head(evidence.metadata), _still_gaining(evidence, computed)
    return {
        "model_name": str(evidence.metadata.get("model_name", "")),
        "kept_epoch": evidence.kept_epoch,
        "epochs_run": len(evidence.epochs),
        "kept_last": head is None and evidence.kept_epoch == len(evidence.epochs),
        "still_gaining": head is None and gains,
        "frozen_head": head,
        "head_still_gaining": head == "mlp" and gains,
        "train_examples": evidence.metadata.get("train_examples"),
        "weakest_band": weakest.band,
        "weakest_band_n": weakest.n,
        "weakest_band_mae": weakest.mae,
        "poor_dimensions": [
            name for name in names if errors[evidence.dimensions.index(name)] > CHALLENGING_ABOVE
        ],
        "worst_dimension": names[0],
        "worst_dimension_mae": float(errors.max()),
        "validation_train_gap": measured["validation_train_gap"].value,
    }


def _still_gaining(evidence: EvaluationEvidence, computed: Decision) -> bool:
    # A history may come from elsewhere: what is no number there counts as not measured.
    vals = [
        {name: one for name, one in epoch["val"].items() if isinstance(one, int | float)}
        for epoch in evidence.epochs
    ]
    by = chosen_by(evidence.metadata.get("best_by"), vals)
    levels = {line.name: line.level.name for line in computed.lines if line.decides}
    return still_gaining(by, vals, evidence.kept_epoch, len(evidence.val), levels)


def weakest_band(evidence: EvaluationEvidence) -> BandError:
    """The label band with the largest error; one of a few scores only where all are."""
    known = [one for one in bands(evidence) if one.mae is not None]
    enough = [one for one in known if one.n >= ENOUGH_SCORES]
    return max(enough or known, key=_band_error)


def _band_error(band: BandError) -> float:
    return band.mae or 0.0


def columns_of(rows: Sequence[Any], name: str) -> list[float]:
    """One attribute of several results."""
    return [float(getattr(row, name)) for row in rows]
