"""Promotion of an accepted model, as a step. Never cached: it is an act, not a result."""

from __future__ import annotations

from typing import Annotated

from zenml import log_metadata, step

from distillery_core.stages.promote import promote as promote_stage
from distillery_core.steps.model_stage import link_run, set_stage
from distillery_core.steps.verdict import Permit
from distillery_core.steps.work import open_work, option, say


@step(enable_cache=False)
def promote(project: str, filter: str, permit: Permit) -> Annotated[str, "promoted_model"]:
    """Make this version the one that scores, in the project, in ZenML and in MLflow.

    Returns the hash of its model.
    """
    work = open_work(project, filter)
    mlflow = option("mlflow") is not False
    promotion = promote_stage(work.project, work.filter, who=option("who"), mlflow=mlflow)
    link_run(set_stage(work.filter.name, promotion))
    say(f"promoted {work.filter.label}")
    log_metadata({"promoted": work.filter.label, "model_sha256": promotion.model_sha256})
    return promotion.model_sha256
