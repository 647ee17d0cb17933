"""MLflow's registry on a real store: the promoted model, and only it, carries `production`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from distillery_core.model_registry import register_promoted
from distillery_core.tracking import store_uri, track


@pytest.fixture
def tracked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one tracked run."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with track("train", tmp_path) as tracker:
        tracker.open()
    return tmp_path


def test_nothing_is_registered_where_nothing_is_tracked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert register_promoted(tmp_path, "crisis", tmp_path / "model", {"model_sha256": "a"}) is None
    assert not (tmp_path / ".distillery").exists()


@pytest.mark.slow
def test_promotions_and_a_rollback_move_the_alias(tracked: Path) -> None:
    from mlflow import MlflowClient

    numbers = [
        register_promoted(tracked, "crisis", tracked / sha, {"model_sha256": sha, "verdict": word})
        for sha, word in [("a", "DEPLOY"), ("b", "REVIEW"), ("a", "DEPLOY")]
    ]
    assert numbers == ["1", "2", "1"]
    found = MlflowClient(tracking_uri=store_uri(tracked)).get_model_version_by_alias(
        "crisis", "production"
    )
    assert (found.version, found.tags) == (1, {"model_sha256": "a", "verdict": "DEPLOY"})
    assert found.source == (tracked / "a").as_uri()


@pytest.mark.slow
def test_a_registry_that_does_not_answer_stops_no_promotion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    caplog.set_level("WARNING", logger="distillery_core.model_registry")
    began = time.monotonic()
    assert register_promoted(tmp_path, "crisis", tmp_path / "a", {"model_sha256": "a"}) is None
    assert time.monotonic() - began < 60, "MLflow's own patience is minutes"
    assert "registry did not take the promotion" in caplog.text
