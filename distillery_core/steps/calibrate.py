"""The calibration round and the validation round of a filter's prompt, as a step."""

from __future__ import annotations

from typing import Annotated

from zenml import step
from zenml.types import MarkdownString

from distillery_core.dataset.sampling import Round
from distillery_core.stages.calibrate import calibrate as calibrate_stage
from distillery_core.steps import materializer as _materializer  # noqa: F401  (registers itself)
from distillery_core.steps.project_files import ProjectFiles
from distillery_core.steps.reports import report_text
from distillery_core.steps.spending import spending
from distillery_core.steps.verdict import FileRef, Permit, Verdict
from distillery_core.steps.work import open_work, option, progress, say

Outcome = tuple[
    Annotated[MarkdownString, "{round}_report"],
    Annotated[Verdict, "{round}_verdict"],
    Annotated[ProjectFiles, "{round}_sample"],
]


@step
def calibrate(
    project: str,
    filter: str,
    round: Round,
    made_from: dict[str, str],
    articles: FileRef,
    is_sample: bool,
    read: bool,
    probes: bool,
    permit: Permit | None = None,
    earlier: ProjectFiles | None = None,
) -> Outcome:
    """Score a stratified sample with the oracle and judge the prompt by it.

    Args:
        made_from: what the outcome depends on beside the articles; see `pipelines.depends`.
        articles: the sample itself, or articles to draw it from.
        permit: of the round before, if there was one.
        earlier: the sample of the round before, from which a validation sample keeps clear.
    """
    work = open_work(project, filter)
    if earlier is not None:
        earlier.put_back(work.root, say)
    path = articles.checked()
    with spending(work):
        result = calibrate_stage(
            work.project,
            work.filter,
            round=round,
            sample=path if is_sample else None,
            input=None if is_sample else path,
            oracle=option("oracle"),
            budget=option("budget"),
            concurrency=option("concurrency"),
            read=read,
            probes=probes,
            progress=progress,
        )
    verdict = Verdict.of(round, result.judged.decision)
    return (
        report_text(result.judged.report_path),
        verdict,
        ProjectFiles.inside(work.root, result.sample),
    )
