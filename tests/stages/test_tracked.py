"""When a stage asks for its run in MLflow: after its input is accepted, before the long work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from distillery_core.errors import UserError
from distillery_core.filters import Filter, resolve_filter
from distillery_core.stages import evaluate, train
from distillery_core.stages.project import Project
from distillery_core.verdicts.front_matter import read_report
from tests.mlflow_server import OPENING, RECORD, MlflowServer

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once, where MLflow sleeps between them."""
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
    overrides = {"model_name": "there/is-no-such-base", "method": method, "max_length": 32}
    with pytest.raises(UserError, match="MLflow cannot be reached"):
        train.train(project, tiny, overrides=overrides)


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


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_input_that_is_refused_leaves_no_run(
    stage: str, project: Project, tiny: Filter, server: MlflowServer
) -> None:
    if stage == "train":
        (project.training_dir(tiny) / "train.jsonl").unlink()
    with pytest.raises(UserError):
        train.train(project, tiny) if stage == "train" else evaluate.evaluate(
            project, tiny, read=False
        )
    assert not server.asked


def crisis(project: Project) -> Filter:
    return resolve_filter("crisis", project.root)
