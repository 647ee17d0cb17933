"""Training through the hook for student backends, and what MLflow keeps of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distillery_core.errors import UserError
from distillery_core.filters import Filter
from distillery_core.plugins.hookspecs import StudentBackend
from distillery_core.stages import evaluate, train
from distillery_core.stages.project import Project
from distillery_core.student.testing import tiny_base
from distillery_core.tracking import store_uri

OTHER = """
def train(filter, data_dir, output_dir, settings, tracker, progress, say):
    say(f"{filter.name} by another backend, {settings.epochs} epochs")
    raise SystemExit(7)
"""


def with_backend(filter: Filter, name: str) -> Filter:
    training = filter.config.training.model_copy(update={"backend": name})
    config = filter.config.model_copy(update={"training": training})
    return filter.model_copy(update={"config": config})


def test_the_filter_names_the_backend(
    project: Project, tiny: Filter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other_students.py").write_text(OTHER, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    students = {"other": StudentBackend("other", "other_students:train")}
    monkeypatch.setattr(train, "load_plugins", lambda: SimpleNamespace(students=students))
    said: list[str] = []
    with pytest.raises(SystemExit):
        train.train(
            project, with_backend(tiny, "other"), overrides={"epochs": 2}, mlflow=False,
            say=said.append,
        )  # fmt: skip
    assert said == ["tiny by another backend, 2 epochs"]


def test_a_backend_that_nobody_brings(project: Project, tiny: Filter) -> None:
    with pytest.raises(UserError, match=r"no student backend 'tranformers'(?s:.)*transformers"):
        train.train(project, with_backend(tiny, "tranformers"), mlflow=False)
    assert not (project.home(tiny) / "model").exists()


@pytest.mark.slow
def test_mlflow_keeps_parameters_epochs_and_reports(
    project: Project, tiny: Filter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    base = str(tiny_base(tmp_path / "base", "bert"))
    overrides = {"model_name": base, "epochs": 2, "max_length": 32}
    train.train(project, tiny, overrides=overrides)
    evaluate.evaluate(project, tiny, read=False)

    client = MlflowClient(tracking_uri=store_uri(project.root))
    experiment = client.get_experiment_by_name("distillery")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    trained, judged = runs["train tiny_v1"], runs["evaluate tiny_v1"]
    assert trained.data.params["epochs"] == "2"
    epochs = client.get_metric_history(trained.info.run_id, "val/mae")
    assert [metric.step for metric in epochs] == [1, 2]
    assert trained.data.metrics["best_val_mae"] == min(metric.value for metric in epochs)
    assert _files(client, trained) == {
        "training_history.json",
        "training_metadata.json",
        "training_config.yaml",
    }
    assert judged.data.params["verdict"] == "FAIL"
    assert judged.data.metrics["test_mae"] > 0
    assert _files(client, judged) == {"model_evaluation.md", "model_evaluation_plots"}


def _files(client: Any, run: Any) -> set[str]:
    return {entry.path for entry in client.list_artifacts(run.info.run_id)}


def test_an_oracle_that_cannot_read_is_known_before_the_model_is_run(
    project: Project, tiny: Filter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    looked: list[str] = []
    seen: Callable[..., None] = lambda *_: looked.append("progress")  # noqa: E731
    with pytest.raises(UserError, match=r"GEMINI_API_KEY is not set(?s:.)*--no-read"):
        evaluate.evaluate(project, tiny, oracle="gemini-flash", mlflow=False, progress=seen)
    assert not looked
