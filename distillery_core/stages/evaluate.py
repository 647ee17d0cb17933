"""Judge the trained student of a filter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from distillery_core.agents.evaluate import evaluate_model
from distillery_core.agents.evaluation import PLOTS
from distillery_core.agents.gather import IncumbentModel
from distillery_core.agents.publishing import Judged
from distillery_core.agents.reader import Reader
from distillery_core.filters import Filter, resolve_filter
from distillery_core.oracle.ledger import Ledger
from distillery_core.publish.promotion import promoted
from distillery_core.stages.oracles import reader_of
from distillery_core.stages.project import Project, adopt
from distillery_core.stages.promote import promoted_model
from distillery_core.tracking import Tracker, track
from distillery_core.types import Progress, silent


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """A judged model: its verdict, its report, and its predictions on the test articles."""

    judged: Judged
    predictions: Path | None


def evaluate(
    project: Project,
    filter: Filter,
    *,
    model_dir: Path | None = None,
    data_dir: Path | None = None,
    oracle: str | None = None,
    budget: float | None = None,
    read: bool = True,
    mlflow: bool = True,
    threads: int | None = None,
    progress: Progress = silent,
) -> EvaluationResult:
    """Evaluate a model on its test split and write `model_evaluation.md`.

    Args:
        oracle: the model that reads the evidence; by default the filter's oracle.
        read: let it read; a recorded oracle cannot, and the report says so.

    Raises:
        UserError, CheckFailed: as `agents.evaluate.evaluate_model`.
    """
    filter = adopt(project, filter)
    home = project.home(filter)
    with (
        _reading(project, filter, oracle, budget, read) as reader,
        track(f"evaluate {filter.slug}", project.root, enabled=mlflow) as tracker,
    ):
        found = evaluate_model(
            filter,
            model_dir or home / "model",
            data_dir or project.training_dir(filter),
            home,
            project.root,
            reports_dir=project.reports_dir(filter),
            incumbent=_incumbent(project, filter),
            reader=reader,
            threads=threads,
            progress=progress,
        )
        _record(tracker, found.judged)
    return EvaluationResult(found.judged, found.predictions_path)


@contextmanager
def _reading(
    project: Project, filter: Filter, oracle: str | None, budget: float | None, read: bool
) -> Iterator[Reader | None]:
    if not read:
        yield None
        return
    with Ledger.open(project.ledger) as ledger:
        yield reader_of(project, filter, ledger, oracle, budget)


def _incumbent(project: Project, filter: Filter) -> IncumbentModel | None:
    """The promoted version, if it is another one and its own training data, which must not be among
    the compared articles, are at hand."""
    entry = promoted(project.root / "filters" / filter.name)
    if entry is None or entry.version == filter.version:
        return None
    older = resolve_filter(f"{filter.name}:v{entry.version}", project.root)
    data_dir = project.training_dir(older)
    _, folder = promoted_model(project, filter.name)
    return IncumbentModel(older.label, folder, data_dir) if data_dir.is_dir() else None


def _record(tracker: Tracker, judged: Judged) -> None:
    numbers = {name: m.value for name, m in judged.front.measurements.items()}
    tracker.params({"verdict": judged.decision.word, **judged.front.evidence})
    tracker.metrics(numbers)
    tracker.file(judged.report_path)
    for plot in sorted((judged.report_path.parent / PLOTS).glob("*.png")):
        tracker.file(plot, PLOTS)
