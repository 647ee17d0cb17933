"""When a stage asks for its run in MLflow: after its input is accepted, before the long work."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from distillery_core.errors import UserError
from distillery_core.filters import Filter, resolve_filter
from distillery_core.stages import evaluate, train
from distillery_core.stages.project import Project
from distillery_core.student.testing import tiny_base
from distillery_core.tracking import LOCAL_STORE
from distillery_core.verdicts.front_matter import read_report
from tests.mlflow_server import OPENING, RECORD, MlflowServer

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server of the user's; and tries follow each other at once, where MLflow sleeps between."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowServer]:
    """One that the stages' runs go to."""
    found = MlflowServer()
    with found.serving() as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        yield found


@pytest.mark.parametrize("method", ["full", "frozen"])
def test_a_training_that_nobody_would_record_does_not_load_its_base(
    method: str, project: Project, tiny: Filter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    base = tiny_base(project.root / "base", "bert")
    (base / "model.safetensors").write_bytes(b"not to be loaded")
    overrides = {"model_name": str(base), "method": method, "max_length": 32}
    with pytest.raises(UserError, match="MLflow cannot be reached"):
        train.train(project, tiny, overrides=overrides)
    with pytest.raises(UserError, match="cannot load the base model"):
        train.train(project, tiny, overrides=overrides, mlflow=False)


def test_an_evaluation_that_nobody_would_record_does_no_work(
    judged: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    report = judged.home(crisis(judged)) / "model_evaluation.md"
    report.unlink()
    seen: list[str] = []
    with pytest.raises(UserError, match="MLflow cannot be reached"):
        evaluate.evaluate(judged, crisis(judged), progress=lambda *_: seen.append("at work"))
    assert not seen
    assert not report.exists()


def test_a_server_that_goes_away_during_an_evaluation_costs_no_verdict(
    judged: Project, server: MlflowServer
) -> None:
    def away(*_: object) -> None:
        assert server.asked[: len(OPENING)] == OPENING, "the run is open when the work begins"
        server.proxy = 503

    result = evaluate.evaluate(judged, crisis(judged), progress=away)
    assert read_report(result.judged.report_path).front.verdict == result.judged.decision.word
    assert server.asked[len(OPENING)] == RECORD


def test_a_dataset_that_is_refused_leaves_no_run(
    project: Project, tiny: Filter, server: MlflowServer
) -> None:
    (project.training_dir(tiny) / "train.jsonl").unlink()
    with pytest.raises(UserError):
        train.train(project, tiny)
    with pytest.raises(UserError):
        evaluate.evaluate(project, tiny, read=False)
    assert not server.asked


@pytest.mark.parametrize("method", ["full", "frozen", "auto"])
@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ({"model_name": "/nonexistent/base"}, "no model folder"),
        ({"max_length": 5000}, "reads at most 256 tokens"),
        ({"attention": "flex_attention", "device": "cpu"}, "trains only on a GPU"),
        ({"resume": "newest"}, "no checkpoint to resume from|is not resumed"),
    ],
)
def test_a_training_that_is_refused_leaves_no_store(
    method: str, asked: dict[str, object], refused: str, project: Project, tiny: Filter
) -> None:
    base = tiny_base(project.root / "base", "bert")
    overrides = {"model_name": str(base), "method": method, "max_length": 32, **asked}
    with pytest.raises(UserError, match=refused):
        train.train(project, tiny, overrides=overrides)
    assert not (project.root / LOCAL_STORE).exists()


def test_weights_that_nobody_is_there_to_share_leave_no_store(
    project: Project, tiny: Filter
) -> None:
    base = tiny_base(project.root / "base", "bert")
    overrides = {"model_name": str(base), "max_length": 32, "fsdp": True}
    with pytest.raises(UserError, match="there is one"):
        train.train(project, tiny, overrides=overrides)
    assert not (project.root / LOCAL_STORE).exists()


@pytest.mark.parametrize(
    ("missing", "refused"),
    [
        ("", "no such model folder"),
        ("distillery.json", r"no distillery\.json"),
        ("model.safetensors", "no weights"),
        ("tokenizer_config.json", r"no tokenizer_config\.json"),
    ],
)
def test_an_evaluation_of_a_model_that_is_not_there_leaves_no_store(
    missing: str, refused: str, judged: Project
) -> None:
    model = judged.home(crisis(judged)) / "model"
    (model / missing).unlink() if missing else shutil.rmtree(model)
    with pytest.raises(UserError, match=refused):
        evaluate.evaluate(judged, crisis(judged), read=False)
    assert not (judged.root / LOCAL_STORE).exists()


def test_an_evaluation_of_another_filters_model_leaves_no_store(judged: Project) -> None:
    card = judged.home(crisis(judged)) / "model" / "distillery.json"
    card.write_text(card.read_text(encoding="utf-8").replace("crisis", "other"), encoding="utf-8")
    with pytest.raises(UserError, match="was trained for 'other'"):
        evaluate.evaluate(judged, crisis(judged), read=False)
    assert not (judged.root / LOCAL_STORE).exists()


def crisis(project: Project) -> Filter:
    return resolve_filter("crisis", project.root)
