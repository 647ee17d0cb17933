"""What score calibration does on test: maps before and after, and what share intervals hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from distillery_core.agents.evaluation_evidence import EvaluationEvidence
from distillery_core.student.measures.bootstrap import paired_bootstrap
from distillery_core.student.measures.metrics import article_errors, mae
from distillery_core.student.measures.score_calibration import ScoreCalibration
from distillery_core.verdicts.measurement import Measurement, rate


@dataclass(frozen=True, slots=True)
class Coverage:
    """Intervals of one dimension on test: half their width, and the share of labels inside.

    `low` and `high` are the share's Wilson 95 % interval.
    """

    dimension: str
    half_width: float
    inside: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CalibrationOnTest:
    """Score calibration as the report shows it.

    Attributes:
        kept: whether maps are applied to the scores.
        reason: why, or why not, as training found on validation.
        rows: validation articles that they were made from, where the record says.
        before, after: test MAE of the checkpoint's own scores, and as deployed.
        low, high: 95 % paired interval of `after - before`; None where nothing is applied.
        promised: share of labels that an interval is to hold; None where there are no intervals.
        coverage: what they hold on test.
        articles: test articles.
    """

    kept: bool
    reason: str
    rows: int | None
    before: float
    after: float
    low: float | None
    high: float | None
    promised: float | None
    coverage: tuple[Coverage, ...]
    articles: int

    def numbers(self) -> dict[str, Any]:
        """For the report's front matter."""
        return {**asdict(self), "coverage": [asdict(one) for one in self.coverage]}


def calibration_on_test(evidence: EvaluationEvidence) -> CalibrationOnTest | None:
    """None where neither the model folder nor the training record speaks of calibration."""
    found, test = evidence.calibration, evidence.test
    recorded = evidence.metadata.get("score_calibration")
    if found is None and not isinstance(recorded, Mapping):
        return None
    record = recorded if isinstance(recorded, Mapping) else {}
    own, deployed = (
        article_errors(test.raw, test.labels),
        article_errors(test.predictions, test.labels),
    )
    kept = found is not None and found.map is not None
    change = paired_bootstrap(deployed, own, test.groups) if kept else None
    rows = found.rows if found else record.get("rows")
    return CalibrationOnTest(
        kept=kept,
        reason=found.reason if found else str(record.get("reason") or "no reason is recorded"),
        rows=rows if isinstance(rows, int) else None,
        before=mae(test.raw, test.labels),
        after=mae(test.predictions, test.labels),
        low=change.low if change else None,
        high=change.high if change else None,
        promised=found.coverage if found and found.has_intervals else None,
        coverage=_coverage(evidence, found) if found else (),
        articles=len(test),
    )


def _coverage(evidence: EvaluationEvidence, found: ScoreCalibration) -> tuple[Coverage, ...]:
    test = evidence.test
    intervals = found.intervals(test.predictions)
    if intervals is None:
        return ()
    low, high = intervals
    inside = ((test.labels >= low) & (test.labels <= high)).sum(axis=0)
    return tuple(
        _line(name, found.dimensions[name].half_width or 0.0, rate(int(count), len(test)))
        for name, count in zip(evidence.dimensions, inside, strict=True)
    )


def _line(name: str, half_width: float, share: Measurement) -> Coverage:
    inside, value = share.count or 0, share.value or 0.0
    return Coverage(name, half_width, inside, value, share.low or 0.0, share.high or 0.0)
