"""A promotion made by a verb, shown in ZenML's model control plane where the project uses ZenML."""

from __future__ import annotations

from pathlib import Path

from distillery_core.pipelines.environment import STORE_FOLDER, prepare_environment
from distillery_core.publish.promotion import Promotion


def show_stage(project: Path, name: str, promotion: Promotion) -> bool:
    """Put the promoted version into production in the project's own store, if there is one.

    Returns:
        Whether it is shown there. False where the store cannot be reached: the promotion stands
        in `promoted.yaml` either way, and the next `distillery run` that promotes shows it.
    """
    if not (project / STORE_FOLDER).is_dir():
        return False
    prepare_environment(project)
    from sqlalchemy.exc import SQLAlchemyError
    from zenml.exceptions import ZenMLBaseException

    from distillery_core.steps.model_stage import set_stage

    try:
        set_stage(name, promotion)
    except (ZenMLBaseException, SQLAlchemyError, RuntimeError, OSError):
        return False
    return True
