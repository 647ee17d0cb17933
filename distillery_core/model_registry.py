"""MLflow's model registry: the promoted model has the alias `production`, where runs are tracked.

A registered version names the folder and the hashes of a model; no weights are copied.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distillery_core.tracking import (
    LOCAL_STORE,
    URI_VARIABLE,
    bounded_waits,
    quiet_migrations,
    store_uri,
)

ALIAS = "production"
_KEY = "model_sha256"

log = logging.getLogger(__name__)


def register_promoted(
    project: Path, name: str, folder: Path, tags: Mapping[str, str]
) -> str | None:
    """Give the model in `folder` the alias `production`; the same model keeps its version.

    Args:
        name: of the registered model.
        tags: shown with the version; `model_sha256` tells models apart.

    Returns:
        MLflow's version number; None where no runs are tracked, or the server does not answer
        (which is logged: a promotion does not depend on it).
    """
    if URI_VARIABLE not in os.environ and not (project / LOCAL_STORE).is_file():
        return None
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        with quiet_migrations(), bounded_waits():
            client = MlflowClient(tracking_uri=store_uri(project))
            version = _version(client, name, folder, tags)
            client.set_registered_model_alias(name, ALIAS, version)
    except (MlflowException, OSError) as error:
        log.warning("MLflow's registry did not take the promotion: %s", error)
        return None
    return version


def _version(client: Any, name: str, folder: Path, tags: Mapping[str, str]) -> str:
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    found = client.search_model_versions(f"name = '{name}'")
    same = [one for one in found if one.tags.get(_KEY) == tags[_KEY]]
    made = same[0] if same else client.create_model_version(name, folder.as_uri(), tags=dict(tags))
    for key, value in tags.items():
        client.set_model_version_tag(name, made.version, key, value)
    return str(made.version)
