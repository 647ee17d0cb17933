"""The raw command that the heads of pipelines/*.yaml give."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow


def _zenml(project: Path, store: Path, config: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ZENML_")},
        "ZENML_CONFIG_PATH": str(store),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
    }
    target = "distillery_core.pipelines.distill.distill"
    command = Path(sys.executable).with_name("zenml")
    return subprocess.run(
        [command, "pipeline", "run", target, "-c", config],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_closed_gate_ends_the_command_with_its_reason(zenml_store: Path, project: Path) -> None:
    run = {"parameters": {"filter": "crisis", "input": "articles.jsonl"}}
    (project / "run.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")
    done = _zenml(project, zenml_store, "run.yaml")
    printed = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1, printed
    assert "GateClosed: labelling: the gate is closed" in printed
    assert "REVIEW: Off-topic false positives" in printed and "distillery approve" in printed
    # Steps are known by their import name, not by a second copy under another one.
    assert (project / "filters" / "crisis" / "v1" / "validation_report.md").is_file()
    from zenml.client import Client

    (failed,) = Client().list_pipeline_runs(pipeline_name="distill").items
    assert str(failed.status) == "failed"
    source = failed.steps["calibration"].spec.source.import_path
    assert source == "distillery_core.steps.calibrate.calibrate"
