"""Runs a pipeline for a verb: prepared environment, checked parameters, an outcome to print."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillery_core.content import project_root
from distillery_core.pipelines.environment import prepare_environment
from distillery_core.types import Progress

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

    from distillery_core.pipelines.checked import CheckedPipeline

PIPELINES = ("calibrate", "label", "prepare", "train", "evaluate", "distill")


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """One step of a run: `completed`, `cached` or `failed`, and a gate's reason."""

    name: str
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """A run that ended.

    Attributes:
        name: of the run, for `zenml pipeline runs` and the dashboard.
        status: `completed` or `failed`.
        steps: in the order in which they ran; steps behind a failed one are not among them.
    """

    name: str
    status: str
    steps: tuple[StepOutcome, ...]


def run_distill(
    project: Path,
    parameters: Mapping[str, Any],
    config: Path | None = None,
    *,
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    on_end: Callable[[RunOutcome], None] | None = None,
) -> RunOutcome:
    """Run `distill` for a project; the arguments are those of `run_pipeline`."""
    return run_pipeline(
        "distill", project, parameters, config, say=say, progress=progress, on_end=on_end
    )


def run_pipeline(
    name: str,
    project: Path,
    parameters: Mapping[str, Any],
    config: Path | None = None,
    *,
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    on_end: Callable[[RunOutcome], None] | None = None,
) -> RunOutcome:
    """Run one of the pipelines and wait for its end.

    Args:
        name: one of PIPELINES.
        parameters: of the pipeline; they win over those of `config`, None changes nothing.
            Relative paths are below the project.
        config: a run's YAML such as pipelines/distill.yaml.
        say: gets one-line notes of the steps.
        progress: gets their progress.
        on_end: gets the outcome, also of a run that failed.

    Raises:
        GateClosed: a gate said no; the run is recorded as failed with the reason.
        UserError: mistakes in the parameters or the YAML, or a step could not run.
    """
    root = project_root(project)
    prepare_environment(root)
    pipeline: CheckedPipeline = getattr(
        importlib.import_module(f"distillery_core.pipelines.{name}"), name
    )
    from distillery_core.pipelines.run_file import merged_run
    from distillery_core.steps.work import listening

    values = merged_run(config, {"project": str(root), **parameters}, pipeline.run_file)
    with tempfile.TemporaryDirectory(prefix="distillery-run-") as folder:
        written = _write(values, Path(folder))
        with listening(say, progress):
            return _ended(pipeline, written, on_end)


def _ended(
    pipeline: CheckedPipeline, config: Path, on_end: Callable[[RunOutcome], None] | None
) -> RunOutcome:
    """Run; report the outcome of this very run even if it raises."""
    before = _newest(pipeline.name)
    try:
        run = pipeline.with_options(config_path=str(config))()
    except BaseException:
        failed = _newest(pipeline.name)
        if on_end and failed is not None and (before is None or failed.id != before.id):
            on_end(_outcome(failed))
        raise
    outcome = _outcome(_newest(pipeline.name) if run is None else run)
    if on_end:
        on_end(outcome)
    return outcome


def _newest(pipeline: str) -> PipelineRunResponse | None:
    from zenml.client import Client

    found = Client().list_pipeline_runs(pipeline_name=pipeline, sort_by="desc:created", size=1)
    return found.items[0] if found.items else None


def _outcome(run: PipelineRunResponse | None) -> RunOutcome:
    from zenml.client import Client

    if run is None:
        raise RuntimeError("ZenML has no record of the run that just ended")
    run = Client().get_pipeline_run(run.id)
    steps = sorted(run.steps.values(), key=lambda step: step.start_time or step.created)
    return RunOutcome(
        name=run.name,
        status=str(run.status),
        steps=tuple(
            StepOutcome(step.name, str(step.status), str(step.run_metadata.get("reason", "")))
            for step in steps
        ),
    )


def _write(values: Mapping[str, Any], folder: Path) -> Path:
    """ZenML takes parameters and options together only from a file."""
    import yaml

    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(dict(values), allow_unicode=True), encoding="utf-8")
    return path
