"""Judge the trained student of a filter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from distillery_core.agents.evaluate import evaluate_model
from distillery_core.agents.evaluation import AGENT, PLOTS, ROUND
from distillery_core.agents.evaluation_files import judge_files, read_result_files
from distillery_core.agents.incumbent import IncumbentModel
from distillery_core.agents.publishing import Judged
from distillery_core.agents.reader import Reader
from distillery_core.dataset.judgements import read_people
from distillery_core.filters import Filter
from distillery_core.oracle.ledger import Ledger
from distillery_core.stages.evaluation_folder import evaluation_folder, is_own_model, model_in
from distillery_core.stages.gates import criteria_for
from distillery_core.stages.oracles import reader_of
from distillery_core.stages.project import Project, adopt
from distillery_core.stages.versions import incumbent, other_versions
from distillery_core.tracking import Tracker, track
from distillery_core.types import Progress, silent
from distillery_core.verdicts.criteria import load_criteria
from distillery_core.verdicts.decision import Decision


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """A judged model: its verdict, its report, and its predictions on the test articles.

    `own` is whether it is the filter's own model, which alone can be approved and promoted.
    """

    judged: Judged
    predictions: Path | None
    own: bool


def evaluate(
    project: Project,
    filter: Filter,
    *,
    model_dir: Path | None = None,
    data_dir: Path | None = None,
    against: str | None = None,
    oracle: str | None = None,
    budget: float | None = None,
    read: bool = True,
    mlflow: bool = True,
    threads: int | None = None,
    progress: Progress = silent,
) -> EvaluationResult:
    """Evaluate a model on its test split and write `model_evaluation.md`.

    The filter's own model has its report in the filter's folder, where the gates read it. One from
    elsewhere has it beside itself, or under the project's `reports/` where that is no place for it,
    so that the own model's report and approval stay.

    Args:
        model_dir: the model, or the folder that training wrote it into; by default the filter's.
        against: the version to compare with, as a folder or `NAME:vN`; by default the promoted
            one, else the newest older one that has a model.
        oracle: the model that reads the evidence; by default the filter's oracle.
        read: let it read; a recorded oracle cannot, and the report says so.

    Raises:
        UserError, CheckFailed: as `agents.evaluate.evaluate_model`.
    """
    filter = adopt(project, filter)
    home = project.home(filter)
    model = model_in(model_dir) if model_dir else home / "model"
    own = is_own_model(project, filter, model)
    folder = evaluation_folder(project, filter, model)
    rival = incumbent(project, filter, model, against)
    with (
        _reading(project, filter, oracle, budget, read) as reader,
        track(f"evaluate {filter.slug}", project.root, enabled=mlflow) as tracker,
    ):
        found = evaluate_model(
            filter,
            model,
            data_dir or project.training_dir(filter),
            folder,
            project.root,
            reports_dir=project.reports_dir(filter) if own else folder,
            incumbent=rival if isinstance(rival, IncumbentModel) else None,
            no_incumbent=rival if isinstance(rival, str) else "",
            others=other_versions(project, filter),
            reader=reader,
            people=read_people(home),
            own=own,
            cache_dir=project.cache,
            threads=threads,
            tracker=tracker,
            progress=progress,
        )
        _record(tracker, found.judged)
    return EvaluationResult(found.judged, found.predictions_path, own)


def evaluate_files(
    project: Project,
    history: Path,
    metadata: Path,
    predictions: Path | None = None,
    filter: Filter | None = None,
) -> Decision:
    """Judge old or foreign results by their files alone; no report is written.

    Args:
        filter: whose own limits and kind count; None for the shipped table and a general filter.

    Raises:
        UserError: a file is missing or not understood.
    """
    files = read_result_files(history, metadata, predictions)
    if filter is None:
        table = load_criteria(AGENT, project.root).for_round(ROUND)
        return judge_files(files, table)
    kind = filter.config.deployment.kind
    own = criteria_for(project, filter, "evaluation")
    return judge_files(files, own, "general" if kind == "auto" else kind)


@contextmanager
def _reading(
    project: Project, filter: Filter, oracle: str | None, budget: float | None, read: bool
) -> Iterator[Reader | None]:
    if not read:
        yield None
        return
    with Ledger.open(project.ledger) as ledger:
        yield reader_of(project, filter, ledger, oracle, budget)


def _record(tracker: Tracker, judged: Judged) -> None:
    numbers = {name: m.value for name, m in judged.front.measurements.items()}
    tracker.params({"verdict": judged.decision.word, **judged.front.evidence})
    tracker.metrics(numbers)
    tracker.file(judged.report_path)
    for plot in sorted((judged.report_path.parent / PLOTS).glob("*.png")):
        tracker.file(plot, PLOTS)
