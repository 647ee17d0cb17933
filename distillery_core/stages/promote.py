"""Put a judged model into use, and go back."""

from __future__ import annotations

import getpass
from pathlib import Path

from distillery_core.errors import CheckFailed, UserError
from distillery_core.files import now_utc
from distillery_core.filters import Filter
from distillery_core.model_registry import register_promoted
from distillery_core.publish import promotion
from distillery_core.publish.promotion import Promotion
from distillery_core.stages.gates import evaluation_evidence, evaluation_gate, report_path
from distillery_core.stages.project import Project
from distillery_core.student.model_folder import copy_model, model_sha256
from distillery_core.verdicts.front_matter import read_report


def promote(
    project: Project, filter: Filter, *, who: str | None = None, mlflow: bool = True
) -> Promotion:
    """Put the filter's model into use.

    Args:
        mlflow: where runs are tracked, the model gets the alias `production` in MLflow's registry.

    Raises:
        GateClosed: the evaluation does not let exactly this model through.
    """
    state = evaluation_gate(project, filter)
    state.require(f"promoting {filter.label}")
    entry = Promotion(
        version=filter.version,
        model_sha256=evaluation_evidence(project, filter)["model_sha256"] or "",
        report_sha256=read_report(report_path(project, filter, "evaluation")).sha256,
        scoring_sha256=filter.scoring_sha256,
        verdict=state.verdict,
        approved_by=state.approval.who if state.approval else "",
        who=who or _who(),
        when=now_utc(),
    )
    kept = promotion.record(_folder(project, filter.name), entry)
    if mlflow:
        _register(project, filter.name, kept)
    return kept


def rollback(
    project: Project, name: str, *, who: str | None = None, mlflow: bool = True
) -> Promotion:
    """Go back to the version in use before, if its model is still the one that was judged.

    Raises:
        CheckFailed: there is none, or its model has changed or is gone.
    """
    for entry in promotion.read_promotions(_folder(project, name))[1:2]:
        _model_of(project, name, entry)
    entry = promotion.rollback(_folder(project, name), who=who or _who(), when=now_utc())
    if mlflow:
        _register(project, name, entry)
    return entry


def keep_promoted(project: Project, filter: Filter) -> Path | None:
    """Copy the model in use aside before its folder is trained over.

    Scores go on with it, and a rollback finds it. Returns the copy; None where nothing is at risk.

    Raises:
        UserError: it cannot be written (full disk).
    """
    entry = promoted(project, filter.name)
    model = project.home(filter) / "model"
    if entry is None or entry.version != filter.version or not model.is_dir():
        return None
    kept = _kept(model, entry)
    if kept.is_dir() or model_sha256(model) != entry.model_sha256:
        return None
    copy_model(model, kept, entry.model_sha256)
    return kept


def promoted(project: Project, name: str) -> Promotion | None:
    """The promotion in use, whether or not its model is at hand."""
    return promotion.promoted(_folder(project, name))


def promoted_model(project: Project, name: str) -> tuple[Promotion, Path]:
    """The promotion in use and its model folder, which must hold the bytes that were judged.

    Raises:
        UserError: nothing is promoted.
        CheckFailed: the model has changed since it was promoted, or is gone.
    """
    folder = _folder(project, name)
    entry = promotion.promoted(folder)
    if entry is None:
        raise UserError(
            f"no version of {name} is promoted",
            where=folder,
            hint=f"distillery promote --filter {name}, or name a version: --filter {name}:v1",
        )
    return entry, _model_of(project, name, entry)


def refuse_other_rules(entry: Promotion, filter: Filter) -> None:
    """See that weights, tiers and score rules are those that the model was promoted with.

    Raises:
        CheckFailed: they have changed since.
    """
    if entry.scoring_sha256 != filter.scoring_sha256:
        raise CheckFailed(
            f"{filter.label}: weights, tiers or score rules have changed since it was promoted",
            hint=f"distillery evaluate --filter {filter.label}, then distillery promote",
        )


def _model_of(project: Project, name: str, entry: Promotion) -> Path:
    """The folder that holds the promoted bytes: the version's model, or the copy kept aside."""
    model = _folder(project, name) / f"v{entry.version}" / "model"
    for folder in (model, _kept(model, entry)):
        if folder.is_dir() and model_sha256(folder) == entry.model_sha256:
            return folder
    if not model.is_dir():
        raise CheckFailed(f"{model}: the promoted model is gone", hint="restore it, or train again")
    raise CheckFailed(
        f"{model}: is not the model that was judged and promoted",
        [f"promoted {entry.model_sha256[:12]}, found {model_sha256(model)[:12]}"],
        hint="distillery evaluate and promote judge the new one; promote --rollback goes back",
    )


def _register(project: Project, name: str, entry: Promotion) -> None:
    facts = {
        "filter_version": f"v{entry.version}",
        "model_sha256": entry.model_sha256,
        "report_sha256": entry.report_sha256,
        "verdict": entry.verdict,
        "approved_by": entry.approved_by,
        "stage": "production",
    }
    folder = _model_of(project, name, entry).resolve()
    register_promoted(
        project.root, name, folder, {key: said for key, said in facts.items() if said}
    )


def _kept(model: Path, entry: Promotion) -> Path:
    return model.with_name(f"model-{entry.model_sha256[:12]}")


def _folder(project: Project, name: str) -> Path:
    return project.root / "filters" / name


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return "unknown"
