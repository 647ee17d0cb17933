"""The single pipelines, their caches and their gates, on inputs that cost little."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.errors import CheckFailed, GateClosed, UserError
from distillery_core.filters import resolve_filter
from distillery_core.pipelines.run import RunOutcome, run_pipeline
from distillery_core.stages.project import Project, adopt


def _run(name: str, project: Path, **parameters: Any) -> dict[str, str]:
    """Step -> status of a run of the crisis filter, also of one that fails."""
    outcomes: list[RunOutcome] = []
    try:
        run_pipeline(name, project, {"filter": "crisis", **parameters}, on_end=outcomes.append)
    except (CheckFailed, UserError):
        assert outcomes
    return {step.name: step.status for step in outcomes[0].steps}


def _label_all(project: Path) -> Path:
    """Labelled articles as `label` writes them, straight from the recording."""
    from distillery_filter_crisis.corpus import RECORDING

    lines = (RECORDING / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    answers = {row["id"]: row["answer"] for row in map(json.loads, lines)}
    crisis = adopt(Project(project), resolve_filter("crisis", project))
    path = Project(project).labelled_path(crisis)
    path.parent.mkdir(parents=True)
    rows = (project / "articles.jsonl").read_text(encoding="utf-8").splitlines()
    with path.open("w", encoding="utf-8") as handle:
        for row in map(json.loads, rows):
            scores = {name: answers[row["id"]][name] for name in crisis.dimensions}
            handle.write(json.dumps({**row, "crisis_analysis": {"dimensions": scores}}) + "\n")
    return path


@pytest.mark.slow
def test_prepare_runs_again_only_for_what_it_depends_on(zenml_store: Path, project: Path) -> None:
    labelled = _label_all(project)
    home = project / "filters" / "crisis" / "v1"
    dataset = project / "datasets" / "training" / "crisis"
    assert _run("prepare", project)["prepare"] == "completed"
    assert _run("prepare", project)["prepare"] == "cached"

    (home / "prompt.md.j2").write_text(
        (home / "prompt.md.j2").read_text(encoding="utf-8") + "\nMore.\n", encoding="utf-8"
    )
    shutil.rmtree(dataset)
    states = _run("prepare", project)
    assert states["prepare"] == "cached" and states["deliver"] == "completed"
    assert (dataset / "manifest.json").is_file()

    assert _run("prepare", project, train_ratio=0.7, val_ratio=0.2)["prepare"] == "completed"
    rows = labelled.read_text(encoding="utf-8").splitlines()
    labelled.write_text("\n".join(rows[:-10]) + "\n", encoding="utf-8")
    assert _run("prepare", project)["prepare"] == "completed"


def test_label_waits_for_the_gate(zenml_store: Path, project: Path) -> None:
    with pytest.raises(GateClosed, match="no such report"):
        run_pipeline("label", project, {"filter": "crisis", "input": "articles.jsonl"})
    assert not (project / ".distillery" / "ledger.sqlite").exists()


def test_nothing_starts_with_a_wrong_name_or_file(zenml_store: Path, project: Path) -> None:
    from zenml.client import Client

    for parameters in (
        {"filter": "crysis", "input": "articles.jsonl"},
        {"filter": "crisis", "input": "nothing.jsonl"},
        {"filter": "crisis", "input": "articles.jsonl", "oracle": "recordet"},
        {"filter": "crisis"},
    ):
        with pytest.raises(UserError):
            run_pipeline("distill", project, parameters)
    assert not Client().list_pipeline_runs().items


@pytest.mark.slow
def test_a_failed_first_round_stops_before_the_second(zenml_store: Path, project: Path) -> None:
    from zenml.client import Client

    agents = Path(__file__).parents[2] / "agents"
    shutil.copytree(agents, project / "agents")
    path = project / "agents" / "prompt_calibration" / "criteria.yaml"
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    table["lines"]["on_topic_misses"] |= {"ok": "< 0", "fail": ">= 0"}
    path.write_text(yaml.safe_dump(table, sort_keys=False), encoding="utf-8")
    states = _run("calibrate", project, input="articles.jsonl")
    assert states == {"calibration": "completed", "calibration_gate": "failed"}
    assert not list(project.rglob("validation-*.jsonl"))

    # Judged again by the shipped criteria, from answers that are in the ledger.
    shutil.rmtree(project / "agents")
    states = _run("calibrate", project, input="articles.jsonl", probes=False)
    assert states["calibration_gate"] == "completed"
    runs = Client().list_pipeline_runs(pipeline_name="calibrate", sort_by="desc:created").items
    assert runs[0].steps["calibration"].run_metadata["would_have_cost_usd"] == 0
    assert runs[1].steps["calibration"].run_metadata["would_have_cost_usd"] > 0
    _check_what_the_dashboard_shows(runs[0], project)


def _check_what_the_dashboard_shows(run: Any, project: Path) -> None:
    """The report as markdown, and the reason why the gate is closed beside its step."""
    from zenml.types import MarkdownString

    report = run.steps["calibration"].outputs["calibration_report"][0].load()
    written = project / "filters" / "crisis" / "v1" / "calibration_report.md"
    assert isinstance(report, MarkdownString) and report == written.read_text(encoding="utf-8")
    assert "left out (--no-probes)" in report
    gate = run.steps["validation_gate"].run_metadata
    assert gate["gate"] == "closed" and gate["verdict"] == "REVIEW"
    assert "approve" in gate["next_command"]


def test_a_stack_with_or_without_an_experiment_tracker(zenml_store: Path) -> None:
    from zenml.client import Client
    from zenml.enums import StackComponentType

    from distillery_core.pipelines.tracker import stack_tracker

    assert stack_tracker() is None
    client = Client()
    client.create_stack_component("mlf", "mlflow", StackComponentType.EXPERIMENT_TRACKER, {})
    client.create_stack(
        "tracked",
        {
            StackComponentType.ORCHESTRATOR: "default",
            StackComponentType.ARTIFACT_STORE: "default",
            StackComponentType.EXPERIMENT_TRACKER: "mlf",
        },
    )
    client.activate_stack("tracked")
    assert stack_tracker() == "mlf"
