"""A model folder with a score calibration: the scorer applies it, with intervals when asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.scoring.scorer import Scorer
from distillery_core.scoring.stream import score_file
from distillery_core.student.measures.score_calibration import CALIBRATION, ScoreCalibration
from distillery_core.types import Article

ARTICLES = [Article(str(n), "A title", f"Some words about topic {n}. " * 9) for n in range(4)]


@pytest.fixture
def calibrated(filter_: Filter, model_dir: Path, tmp_path: Path) -> Path:
    """The model with a map that halves every score, and intervals of 1.5 to each side."""
    folder = shutil.copytree(model_dir, tmp_path / "model")
    halved = {"scores": (0.0, 10.0), "calibrated": (0.0, 5.0), "half_width": 1.5}
    calibration = ScoreCalibration(
        rows=300,
        map="isotonic",
        mae=1.0,
        reason="a test",
        dimensions=dict.fromkeys(filter_.dimensions, halved),  # type: ignore[misc]
    )
    (folder / CALIBRATION).write_text(calibration.model_dump_json(), encoding="utf-8")
    return folder


def test_the_scorer_applies_it(filter_: Filter, model_dir: Path, calibrated: Path) -> None:
    plain = Scorer(filter_, model_dir).score(ARTICLES)
    mapped = Scorer(filter_, calibrated).score(ARTICLES)
    for before, after in zip(plain, mapped, strict=True):
        assert before.scores and after.scores and after.intervals is None
        for name, score in before.scores.items():
            assert after.scores[name] == pytest.approx(score / 2, abs=1e-4)


def test_intervals_stand_around_the_calibrated_score(
    filter_: Filter, calibrated: Path, tmp_path: Path
) -> None:
    articles = tmp_path / "articles.jsonl"
    articles.write_text("\n".join(json.dumps(one.row()) for one in ARTICLES), encoding="utf-8")
    score_file(filter_, calibrated, articles, tmp_path / "scores.jsonl", intervals=True)
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert len(rows) == len(ARTICLES)
    for row in rows:
        for name, score in row["scores"].items():
            low, high = row["intervals"][name]
            assert low == pytest.approx(max(score - 1.5, 0), abs=1e-3)
            assert high == pytest.approx(min(score + 1.5, 10), abs=1e-3)


def test_a_model_without_intervals_says_so(filter_: Filter, model_dir: Path) -> None:
    with pytest.raises(UserError, match="has no intervals"):
        Scorer(filter_, model_dir, intervals=True)


def test_a_calibration_of_other_dimensions_is_refused(filter_: Filter, calibrated: Path) -> None:
    path = calibrated / CALIBRATION
    record = json.loads(path.read_text(encoding="utf-8"))
    record["dimensions"] = dict(reversed(record["dimensions"].items()))
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UserError, match="other dimensions"):
        Scorer(filter_, calibrated)
