"""Pipeline `prepare`: from labelled articles to a checked, split dataset."""

from __future__ import annotations

from distillery_core.pipelines.checked import gated_pipeline
from distillery_core.pipelines.scope import open_scope
from distillery_core.pipelines.wiring import delivered, lying_there, prepared


@gated_pipeline("labelled", "prepare", "deliver")
def prepare(
    filter: str,
    input: str | None = None,
    project: str | None = None,
    train_ratio: float = 0.8,
    val_ratio: float = 0.1,
    test_ratio: float = 0.1,
    max_bad: float = 0.01,
) -> None:
    """Make the dataset.

    Args:
        filter: NAME, NAME:vN or PATH.
        input: labelled articles inside the project; by default where `label` writes them.
        project: the project's folder; by default the one around the working directory.
        train_ratio, val_ratio, test_ratio: shares of the split, summing to 1.
        max_bad: share of rows that may be set aside.
    """
    scope = open_scope(filter, project)
    path = scope.path(input) if input else scope.project.labelled_path(scope.filter)
    labels = lying_there(scope, "labelled", path)
    delivered(scope, prepared(scope, labels, (train_ratio, val_ratio, test_ratio), max_bad))
