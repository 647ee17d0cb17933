"""Articles to results: pre-filter, then student, then score rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.filters.score_rules import overall, tier
from distillery_core.filters.text_view import pattern_text
from distillery_core.student.measures.metrics import Array
from distillery_core.student.measures.score_calibration import MIN_INTERVAL_ROWS, ScoreCalibration
from distillery_core.student.model_card import check_card
from distillery_core.student.predict import Predictions, Student, load_model, predict
from distillery_core.student.settings import Device
from distillery_core.types import Article

Status = Literal["scored", "blocked", "error"]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one article.

    Attributes:
        status: scored, blocked (by the pre-filter) or error.
        reason: why it was blocked, or what went wrong.
        scores: dimension -> 0-10; empty unless scored.
        overall: 0-10 after score rules; `raw_overall` before them.
        rules: the score rules that changed the overall score.
        clipped: dimensions where the model's own value lay outside 0-10.
        intervals: dimension -> lower and upper end, where they were asked for.
    """

    id: str
    status: Status
    reason: str | None = None
    scores: dict[str, float] | None = None
    overall: float | None = None
    raw_overall: float | None = None
    tier: str | None = None
    rules: tuple[str, ...] = ()
    clipped: tuple[str, ...] = ()
    intervals: dict[str, tuple[float, float]] | None = None

    def row(self) -> dict[str, Any]:
        """The result as a JSON object, keys that do not apply left out."""
        row: dict[str, Any] = {"id": self.id, "status": self.status}
        if self.status != "scored":
            return row | {"reason": self.reason}
        row |= {"scores": self.scores, "overall": self.overall, "tier": self.tier}
        if self.rules:
            row |= {"raw_overall": self.raw_overall, "rules": list(self.rules)}
        if self.clipped:
            row["clipped"] = list(self.clipped)
        if self.intervals:
            row["intervals"] = {name: list(ends) for name, ends in self.intervals.items()}
        return row


class Scorer:
    """A filter with its student, loaded once.

    Args:
        model_dir: a model folder that was trained for this filter.
        threads: CPU threads; None is one for up to two cores.
        intervals: give each score an interval that holds the oracle's in 90 of 100 articles.

    Raises:
        UserError: no usable model there, or one for another filter, other dimensions or another
            text view; intervals were asked for and the model has none.
    """

    def __init__(
        self,
        filter: Filter,
        model_dir: Path,
        *,
        device: Device = "auto",
        threads: int | None = None,
        intervals: bool = False,
    ) -> None:
        self.filter = filter
        self.student = load_model(model_dir, device)
        self.threads = threads
        check_card(self.student.card, filter, model_dir)
        self._calibration = _with_intervals(self.student, model_dir) if intervals else None

    def score(self, articles: Sequence[Article]) -> list[Result]:
        """Score articles; one result each, in order. Those of like length are computed together.

        A blocked article never reaches the student. An article without a finite prediction
        becomes an error, and the others are not touched by it.
        """
        reasons = [self.filter.prefilter.check(article) for article in articles]
        passed = [a for a, reason in zip(articles, reasons, strict=True) if reason is None]
        predictions = predict(self.student, passed, threads=self.threads)
        scored = iter(self._results(passed, predictions))
        return [
            next(scored) if reason is None else Result(article.id, "blocked", reason)
            for article, reason in zip(articles, reasons, strict=True)
        ]

    def _results(self, articles: Sequence[Article], predictions: Predictions) -> list[Result]:
        rows = zip(articles, predictions.values, predictions.clipped, strict=True)
        return [self._result(article, values, clipped) for article, values, clipped in rows]

    def _result(self, article: Article, values: Array, clipped: Array) -> Result:
        if not np.isfinite(values).all():
            return Result(article.id, "error", "the model's prediction is not a number")
        scores = {
            name: round(float(value), 4)
            for name, value in zip(self.filter.dimensions, values, strict=True)
        }
        judged = overall(self.filter, scores, pattern_text(article.title, article.content))
        return Result(
            id=article.id,
            status="scored",
            scores=scores,
            overall=round(judged.value, 4),
            raw_overall=round(judged.raw, 4),
            tier=tier(self.filter, judged.value),
            rules=judged.applied,
            clipped=tuple(d for d, out in zip(self.filter.dimensions, clipped, strict=True) if out),
            intervals=self._intervals(values),
        )

    def _intervals(self, values: Array) -> dict[str, tuple[float, float]] | None:
        ends = self._calibration.intervals(values[None]) if self._calibration else None
        if ends is None:
            return None
        pairs = zip(self.filter.dimensions, ends[0][0], ends[1][0], strict=True)
        return {name: (round(float(low), 4), round(float(high), 4)) for name, low, high in pairs}


def _with_intervals(student: Student, folder: Path) -> ScoreCalibration:
    calibration = student.calibration
    if calibration is None or not calibration.has_intervals:
        raise UserError(
            "the model has no intervals",
            where=folder,
            hint=f"train with at least {MIN_INTERVAL_ROWS} validation articles",
        )
    return calibration


def model_folder(folder: Path) -> Path:
    """The model folder itself, given it or the filter folder above it.

    Raises:
        UserError: there is no trained model.
    """
    for candidate in (folder, folder / "model"):
        if (candidate / "config.json").is_file():
            return candidate
    raise UserError("no trained model there", where=folder, hint="distillery train")
