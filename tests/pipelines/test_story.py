"""A filter's way through `distill`: stopped by gates, let through, reused, disturbed, promoted."""

from __future__ import annotations

import shutil
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import yaml

from distillery_core.errors import DistilleryError, GateClosed
from distillery_core.filters import resolve_filter
from distillery_core.pipelines.environment import STORE_FOLDER
from distillery_core.pipelines.run import RunOutcome, run_distill
from distillery_core.pipelines.stage import show_stage
from distillery_core.publish.promotion import promoted
from distillery_core.stages import gates
from distillery_core.stages.project import Project

pytestmark = pytest.mark.slow

ROUNDS = ["calibration", "calibration_gate", "validation", "validation_gate"]
WORK = ["label", "prepare", "train", "evaluate"]
GATES = {"calibration_gate", "validation_gate", "evaluation_gate"}


class Runner:
    """Runs `distill` on a small student; keeps what the steps said and how the run ended."""

    def __init__(self, project: Path, base: Path) -> None:
        self.project = project
        self.said: list[str] = []
        self.outcome: RunOutcome | None = None
        training = {"model_name": str(base), "epochs": 1, "max_length": 32, "batch_size": 32}
        self.parameters: dict[str, Any] = {
            "filter": "crisis",
            "input": "articles.jsonl",
            "training": training,
            "mlflow": False,
        }

    def __call__(self, **more: Any) -> dict[str, str]:
        """Run; the exception, if one is raised, is kept too. Returns step -> status."""
        self.said.clear()
        self.outcome, self.error = None, None
        try:
            run_distill(
                self.project, self.parameters | more, say=self.said.append, on_end=self._keep
            )
        except DistilleryError as error:
            self.error: DistilleryError | None = error
        assert self.outcome is not None
        return {step.name: step.status for step in self.outcome.steps}

    def _keep(self, outcome: RunOutcome) -> None:
        self.outcome = outcome

    def tags(self) -> set[str]:
        """Of the newest run."""
        from zenml.client import Client

        assert self.outcome is not None
        found = Client().get_pipeline_run(self.outcome.name)
        return {tag.name for tag in found.tags}

    def approve(self, report: str) -> None:
        found = resolve_filter("crisis", self.project)
        gates.approve(Project(self.project), found, report=report, who="A. Tester", why="read it")


def _lenient(project: Path) -> None:
    """The project's own criteria: what would fail is only to be reviewed."""
    folder = project / "agents" / "model_evaluation"
    shutil.copytree(Path(__file__).parents[2] / "agents" / "model_evaluation", folder)
    path = folder / "criteria.yaml"
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    for line in table["lines"].values():
        line.pop("fail", None)
    path.write_text(yaml.safe_dump(table, sort_keys=False), encoding="utf-8")


def _in_production(project: Path, home: Path) -> None:
    """The promoted model in ZenML's model control plane, with the artefact it was trained as."""
    from zenml.client import Client

    promotion = promoted(home.parent)
    assert promotion is not None
    version = Client().get_model_version("crisis", "production")
    assert version.name == f"v1-{promotion.model_sha256[:12]}"
    assert version.run_metadata["verdict"] == "REVIEW"
    assert version.run_metadata["approved_by"] == "A. Tester"
    assert version.get_artifact("model") is not None

    # A verb moves the stage too: here to a model that was promoted after it.
    (project / STORE_FOLDER).mkdir(parents=True, exist_ok=True)  # the store of tests is elsewhere
    later = promotion.model_copy(update={"model_sha256": "f" * 64})
    assert show_stage(project, "crisis", later)
    assert Client().get_model_version("crisis", version.name).stage == "archived"
    assert show_stage(project, "crisis", promotion)
    assert Client().get_model_version("crisis", version.name).stage == "production"


def test_from_articles_to_a_promoted_model(zenml_store: Path, project: Path) -> None:
    from distillery_core.student.testing import tiny_base

    run = Runner(project, tiny_base(project / "base", "bert"))
    home = project / "filters" / "crisis" / "v1"

    # The recorded answers give a REVIEW in the second round: labelling waits for a person.
    assert list(run()) == ROUNDS
    assert isinstance(run.error, GateClosed)
    assert "approve" in (run.error.hint or "")
    assert run.outcome is not None and run.outcome.status == "failed"
    assert "REVIEW" in run.outcome.steps[-1].reason
    assert not (project / "datasets" / "labeled").exists()
    assert run.tags() == {"waiting-for-approval"}

    # A run may also stand still until somebody approves: it goes on, and nothing is asked again.
    person = Timer(3.0, run.approve, ["validation"])
    person.start()
    states = run(wait_for_approval=10)
    person.join()
    assert any(line.startswith("waiting up to 10 min") for line in run.said)
    assert list(states) == [*ROUNDS, *WORK, "evaluation_gate"]
    assert states["calibration"] == states["validation"] == "cached"
    assert {states[name] for name in WORK} == {"completed"}
    # A student of two random layers fails, and a FAIL ends the run before the promotion.
    assert states["evaluation_gate"] == "failed" and "promote" not in states
    assert run.tags() == {"gate-closed"}
    assert isinstance(run.error, GateClosed)

    # Other criteria: only the evaluation is done again.
    _lenient(project)
    states = run(budget=5.0)
    assert [name for name in WORK if states[name] != "cached"] == ["evaluate"]
    assert states["evaluation_gate"] == "failed"

    # What cached steps had written is put back; what lies in its place is kept aside.
    run.approve("evaluation")
    model = (home / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(home / "model")
    (home / "calibration_report.md").unlink()
    labelled = project / "datasets" / "labeled" / "crisis" / "labeled_articles.jsonl"
    rows = labelled.read_bytes()
    labelled.write_text("mine\n", encoding="utf-8")
    states = run()
    assert run.error is None and run.outcome is not None and run.outcome.status == "completed"
    assert {name for name, state in states.items() if state != "cached"} == {*GATES, "promote"}
    assert (home / "model" / "model.safetensors").read_bytes() == model
    assert (home / "calibration_report.md").is_file() and labelled.read_bytes() == rows
    aside = list((project / ".distillery" / "replaced").rglob("labeled_articles.jsonl"))
    assert [path.read_text(encoding="utf-8") for path in aside] == ["mine\n"]
    assert any("put back" in line for line in run.said)
    assert (home.parent / "promoted.yaml").is_file()
    _in_production(project, home)

    # A report that was edited by hand is not put back: its gate closes.
    report = home / "calibration_report.md"
    text = report.read_text(encoding="utf-8")
    report.write_text(text + "\nAll is well.\n", encoding="utf-8")
    assert run()["validation_gate"] == "failed"
    assert "changed after it was written" in str(run.error)
    report.write_text(text, encoding="utf-8")

    # Another prompt: nothing of the old one is used (the recording does not answer it).
    prompt = home / "prompt.md.j2"
    changed = prompt.read_text(encoding="utf-8") + "\nBe strict.\n"
    prompt.write_text(changed, encoding="utf-8")
    assert run() == {"calibration": "failed"}
