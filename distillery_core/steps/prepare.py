"""From labelled articles to a checked, split dataset, as a step."""

from __future__ import annotations

from typing import Annotated

from zenml import step

from distillery_core.dataset.manifest import check_prepared
from distillery_core.stages.prepare import prepare as prepare_stage
from distillery_core.steps import materializer as _materializer  # noqa: F401  (registers itself)
from distillery_core.steps.project_files import ProjectFiles
from distillery_core.steps.work import open_work, progress, say


@step
def prepare(
    project: str,
    filter: str,
    made_from: dict[str, str],
    ratios: tuple[float, float, float],
    max_bad: float,
    labelled: ProjectFiles,
) -> Annotated[ProjectFiles, "dataset"]:
    """Clean, group duplicates, split, and check the dataset.

    Args:
        ratios: shares of train, validation and test.
        max_bad: share of rows that may be rejected; more of them, or a failed QA, fails the step.
    """
    work = open_work(project, filter)
    labelled.put_back(work.root, say)
    train, val, test = ratios
    result = prepare_stage(
        work.project,
        work.filter,
        input=labelled.single(work.root),
        train_ratio=train,
        val_ratio=val,
        test_ratio=test,
        progress=progress,
    )
    check_prepared(result.manifest, max_bad)
    return ProjectFiles.of(work.root, result.folder)
