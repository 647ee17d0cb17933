"""Promoted models in ZenML's model control plane: a version each, one of them in production."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery_core.publish.promotion import Promotion

if TYPE_CHECKING:
    from zenml.metadata.metadata_types import MetadataType
    from zenml.models import ArtifactVersionResponse, ModelVersionResponse

TRAINING_STEP = "train"


def version_name(promotion: Promotion) -> str:
    """The name of a promoted model's version: the filter's version and the model's hash."""
    return f"v{promotion.version}-{promotion.model_sha256[:12]}"


def set_stage(name: str, promotion: Promotion) -> ModelVersionResponse:
    """Put a promotion's model version into production; the one that was there is archived.

    The version is made at the first call, and only moved at later ones (a rollback).

    Args:
        name: of the filter, which is the model's name.
    """
    from zenml import log_metadata

    version = _version(name, version_name(promotion))
    version.set_stage("production", force=True)
    log_metadata(metadata=_facts(promotion), model_version_id=version.id)
    return version


def link_run(version: ModelVersionResponse) -> None:
    """Link the model that this run trained, or took from the cache, to its version."""
    from zenml import get_step_context, link_artifact_to_model
    from zenml.model.model import Model

    model = Model(name=version.model.name, version=version.name)
    for artefact in _trained(get_step_context().pipeline_run.id):
        link_artifact_to_model(artefact, model)


def _trained(run_id: object) -> list[ArtifactVersionResponse]:
    from zenml.client import Client

    step = Client().get_pipeline_run(str(run_id)).steps.get(TRAINING_STEP)
    return [] if step is None else [one for found in step.outputs.values() for one in found]


def _version(model: str, name: str) -> ModelVersionResponse:
    from zenml.client import Client

    client = Client()
    if not client.list_models(name=model).items:
        client.create_model(name=model, description=f"The student of the filter {model}.")
    found = client.list_model_versions(model=model, name=name).items
    return found[0] if found else client.create_model_version(model, name=name)


def _facts(promotion: Promotion) -> dict[str, MetadataType]:
    names = ("verdict", "approved_by", "who", "when", "why")
    hashes = ("model_sha256", "report_sha256", "scoring_sha256")
    found = promotion.model_dump(include={*names, *hashes})
    return {key: value for key, value in found.items() if value}
