"""Batch labelling, as a step."""

from __future__ import annotations

from typing import Annotated

from zenml import step

from distillery_core.stages.label import label as label_stage
from distillery_core.steps import materializer as _materializer  # noqa: F401  (registers itself)
from distillery_core.steps.project_files import ProjectFiles
from distillery_core.steps.spending import spending
from distillery_core.steps.verdict import FileRef, Permit
from distillery_core.steps.work import open_work, option, progress


@step
def label(
    project: str,
    filter: str,
    made_from: dict[str, str],
    articles: FileRef,
    limit: int | None,
    max_bad: float,
    permit: Permit,
) -> tuple[Annotated[ProjectFiles, "labelled"], Annotated[ProjectFiles, "set_aside"]]:
    """Ask the oracle about every article; answers that are in the ledger are not asked again."""
    work = open_work(project, filter)
    with spending(work):
        result = label_stage(
            work.project,
            work.filter,
            input=articles.checked(),
            oracle=option("oracle"),
            budget=option("budget"),
            concurrency=option("concurrency"),
            limit=limit,
            max_bad=max_bad,
            progress=progress,
        )
    aside = [path for path in (result.rejected, result.skipped) if path is not None]
    return ProjectFiles.of(work.root, result.output), ProjectFiles.of(work.root, *aside)
