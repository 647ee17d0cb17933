"""Evaluation of the student, as a step."""

from __future__ import annotations

from typing import Annotated

from zenml import step
from zenml.types import MarkdownString

from distillery_core.agents.evaluation import PLOTS
from distillery_core.reports.record import record_path
from distillery_core.stages.evaluate import evaluate as evaluate_stage
from distillery_core.steps import materializer as _materializer  # noqa: F401  (registers itself)
from distillery_core.steps.project_files import ProjectFiles
from distillery_core.steps.reports import report_text
from distillery_core.steps.spending import spending
from distillery_core.steps.verdict import Verdict
from distillery_core.steps.work import open_work, option, progress, say


@step
def evaluate(
    project: str,
    filter: str,
    made_from: dict[str, str],
    read: bool,
    dataset: ProjectFiles,
    model: ProjectFiles,
) -> tuple[
    Annotated[MarkdownString, "evaluation_report"],
    Annotated[Verdict, "evaluation_verdict"],
    Annotated[ProjectFiles, "evaluation_details"],
]:
    """Judge the trained model on the test articles, against baselines."""
    work = open_work(project, filter)
    dataset.put_back(work.root, say)
    model.put_back(work.root, say)
    with spending(work):
        result = evaluate_stage(
            work.project,
            work.filter,
            oracle=option("oracle"),
            budget=option("budget"),
            read=read,
            mlflow=bool(option("mlflow")),
            progress=progress,
        )
    report = result.judged.report_path
    beside = (result.predictions, report.with_name(PLOTS), record_path(report))
    details = [path for path in beside if path is not None and path.exists()]
    verdict = Verdict.of("evaluation", result.judged.decision)
    return report_text(report), verdict, ProjectFiles.of(work.root, *details)
