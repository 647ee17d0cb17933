"""`evaluate_model`: gathers the evidence on a trained model, judges it, writes the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distillery_core.agents.definition import load_agent
from distillery_core.agents.evaluation import AGENT, ROUND, judge_evaluation
from distillery_core.agents.evaluation_evidence import EvaluationEvidence, Speed
from distillery_core.agents.gather import gather
from distillery_core.agents.incumbent import IncumbentModel
from distillery_core.agents.people import people_scores
from distillery_core.agents.publishing import Judged
from distillery_core.agents.reader import Reader
from distillery_core.agents.tripwires import OtherVersion
from distillery_core.dataset.judgements import NOBODY, People
from distillery_core.dataset.rows import Example
from distillery_core.errors import UserError
from distillery_core.files import write_text
from distillery_core.filters.filter import Filter
from distillery_core.filters.score_rules import tier
from distillery_core.tracking import NO_TRACKER, Tracker
from distillery_core.types import Article, Progress, silent
from distillery_core.verdicts.front_matter import read_report

PREDICTIONS = "predictions_test.jsonl"


@dataclass(frozen=True)
class Evaluated:
    """A judged model; `predictions_path` is None where no test predictions were written."""

    judged: Judged
    evidence: EvaluationEvidence
    predictions_path: Path | None


def evaluate_model(
    filter: Filter,
    model_dir: Path,
    data_dir: Path,
    folder: Path,
    project: Path,
    *,
    record_dir: Path | None = None,
    reports_dir: Path | None = None,
    incumbent: IncumbentModel | None = None,
    no_incumbent: str = "no other version has a model",
    others: Sequence[OtherVersion] = (),
    reader: Reader | None = None,
    people: People = NOBODY,
    own: bool = True,
    cache_dir: Path | None = None,
    threads: int | None = None,
    tracker: Tracker = NO_TRACKER,
    progress: Progress = silent,
) -> Evaluated:
    """Evaluate a trained model on its dataset's test split and write `model_evaluation.md`.

    Args:
        model_dir: the model folder that `train` wrote.
        data_dir: the dataset it was trained on, with its manifest.
        folder: for the report and its plots: the filter's folder in the project, or for a model
            from elsewhere that model's.
        project: where `agents/` is looked up first.
        record_dir: where the training record lies; default the model folder's parent.
        reports_dir: where `predictions_test.jsonl` goes; None writes none.
        incumbent: the version to compare with.
        no_incumbent: why there is none.
        others: the filter's other versions, of which no result may be a copy.
        reader: a model that reads the evidence.
        people: what people judged; their scores of test articles are shown beside the others.
        own: whether it is the filter's own model, which alone can be approved and promoted.
        cache_dir: where training keeps features of articles.
        tracker: its run is opened before the work begins; what to record of it is the caller's.

    Raises:
        UserError: model, dataset or training record are missing or belong to another filter, or
            the tracker cannot be reached.
        CheckFailed: the model predicts something that is not a number, or the incumbent that was
            asked for cannot be compared.
    """
    found = gather(
        filter,
        model_dir,
        data_dir,
        record_dir=record_dir,
        incumbent=incumbent,
        no_incumbent=no_incumbent,
        others=others,
        cache_dir=cache_dir,
        threads=threads,
        tracker=tracker,
        progress=progress,
    )
    evidence = _with_known_speed(found.evidence, folder, project)
    articles = [Article(one.id, one.title, one.content) for one in found.test]
    evidence = replace(evidence, by_people=people_scores(filter, articles, people))
    judged = judge_evaluation(filter, evidence, folder, project, reader, own)
    path = None
    if reports_dir is not None:
        path = reports_dir / PREDICTIONS
        write_predictions(path, filter, evidence, found.test)
    return Evaluated(judged, evidence, path)


def _with_known_speed(
    evidence: EvaluationEvidence, folder: Path, project: Path
) -> EvaluationEvidence:
    """The speed of an earlier report on the very same evidence.

    A clock never says the same twice; without this, evaluating again would change the report and
    void the approval that names it.
    """
    name = load_agent(AGENT, project).declared.reports[ROUND]
    try:
        front = read_report(folder / name).front
    except UserError:
        return evidence
    speed = front.numbers.get("speed")
    if front.evidence != dict(evidence.hashes) or not isinstance(speed, Mapping):
        return evidence
    try:
        return replace(evidence, speed=Speed(**speed))
    except TypeError:
        return evidence


def write_predictions(
    path: Path, filter: Filter, evidence: EvaluationEvidence, test: Sequence[Example]
) -> None:
    """Write one JSON line per test article: labels, predictions, overall scores and tiers."""
    rows = [_row(filter, evidence, test[at], at) for at in range(len(test))]
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _row(filter: Filter, evidence: EvaluationEvidence, example: Example, at: int) -> dict[str, Any]:
    split = evidence.test
    labelled, predicted = float(evidence.labelled_overall[at]), float(evidence.overall[at])
    return {
        "id": example.id,
        "title": example.title,
        "labels": _named(filter, split.labels[at]),
        "predictions": _named(filter, split.predictions[at]),
        "labelled_overall": round(labelled, 4),
        "overall": round(predicted, 4),
        "labelled_tier": tier(filter, labelled),
        "tier": tier(filter, predicted),
    }


def _named(filter: Filter, values: Sequence[float]) -> dict[str, float]:
    pairs = zip(filter.dimensions, values, strict=True)
    return {name: round(float(value), 4) for name, value in pairs}
