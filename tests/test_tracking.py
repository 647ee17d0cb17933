"""Tracking against a real SQLite store: what is kept, where it goes, and what a failure costs."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from distillery_core import tracking
from distillery_core.errors import UserError
from distillery_core.tracking import NO_TRACKER, MlflowTracker, store_uri, track
from tests.mlflow_server import END, FIND, OPENING, READ, RECORD, RUN_ID, MlflowServer


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server of the user's; and tries follow each other at once, where MLflow sleeps between."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for the module: its first use costs seconds of migrations."""
    return tmp_path_factory.mktemp("project")


def client(project: Path):  # type: ignore[no-untyped-def]
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store_uri(project))


def test_a_run_is_kept_in_the_project(project: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    report.write_text("# Report", encoding="utf-8")
    with track("train tiny:v1", project, tags={"stage": "train"}) as tracker:
        assert isinstance(tracker, MlflowTracker)
        tracker.params({"epochs": 3, "head_learning_rate": None, "long": "x" * 9000})
        for epoch, value in ((1, 1.5), (2, 1.25)):
            tracker.metrics({"val/mae": value, "val/spearman": None}, epoch)
        tracker.file(report)
        tracker.text("said", "note.txt")
    run = client(project).get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["epochs"] == "3"
    assert "head_learning_rate" not in run.data.params
    assert run.data.tags["stage"] == "train"
    history = client(project).get_metric_history(tracker.run_id, "val/mae")
    assert [(m.step, m.value) for m in history] == [(1, 1.5), (2, 1.25)]
    kept = project / ".distillery" / "mlflow-artifacts"
    assert {path.name for path in kept.rglob("*") if path.is_file()} == {"report.md", "note.txt"}


def test_a_block_that_raises_ends_a_failed_run(project: Path) -> None:
    with pytest.raises(ZeroDivisionError), track("breaks", project) as tracker:
        tracker.params({"epochs": 3})
        raise ZeroDivisionError
    assert isinstance(tracker, MlflowTracker)
    assert client(project).get_run(tracker.run_id).info.status == "FAILED"


def test_an_active_run_is_used_and_left_open(project: Path) -> None:
    import mlflow

    mlflow.set_tracking_uri(store_uri(project))
    try:
        with mlflow.start_run(experiment_id=mlflow.create_experiment("somebody")) as run:
            with track("ours", project) as tracker:
                tracker.metrics({"val/mae": 1.0}, 1)
            assert isinstance(tracker, MlflowTracker)
            assert tracker.run_id == run.info.run_id
            assert mlflow.active_run() is not None
    finally:
        mlflow.set_tracking_uri(None)


def test_where_runs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_uri(tmp_path) == f"sqlite:///{tmp_path / '.distillery' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    assert store_uri(tmp_path) == "http://server"
    assert store_uri(tmp_path, "http://named") == "http://named"


def test_a_store_that_cannot_be_opened(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="MLflow cannot be reached"),
        track("x", tmp_path, uri="nonsense://server") as tracker,
    ):
        tracker.open()


@pytest.mark.parametrize("listens", [False, True], ids=["nobody listens", "nobody answers"])
def test_a_server_that_cannot_be_reached_is_said_soon(
    listens: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tracking._FIRST_CALL, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setitem(tracking._FIRST_CALL, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    began = time.monotonic()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            pytest.raises(UserError, match=r"MLflow cannot be reached(?s:.)*--no-mlflow"),
            track("x", tmp_path, uri=server) as tracker,
        ):
            tracker.open()
    assert time.monotonic() - began < 15
    assert not [name for name in tracking._FIRST_CALL if name in os.environ]


def test_the_users_own_patience_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    monkeypatch.setenv(own, "60")
    with tracking._variables(tracking._FIRST_CALL):
        assert os.environ[own] == "60"
        assert os.environ[other] == "1"
    assert os.environ[own] == "60"
    assert other not in os.environ


def test_a_stage_that_records_nothing_leaves_no_store(tmp_path: Path) -> None:
    with pytest.raises(UserError), track("refused", tmp_path):
        raise UserError("the dataset cannot be used")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    """What is logged here, whatever ZenML did to the root logger of this process."""
    monkeypatch.setattr(tracking.log, "handlers", [caplog.handler])
    monkeypatch.setattr(tracking.log, "propagate", False)
    caplog.set_level(logging.WARNING, tracking.log.name)
    return caplog


def ours(told: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of tracking itself; urllib3 warns about each try of its own."""
    return [record.message for record in told.records if record.name == tracking.log.name]


def test_a_record_for_a_run_that_is_gone_is_one_warning(
    project: Path, told: pytest.LogCaptureFixture
) -> None:
    with track("warns", project) as tracker:
        assert isinstance(tracker, MlflowTracker)
        gone = MlflowTracker(lambda: (tracker.client, "0" * 32))
        gone.metrics({"val/mae": 1.0}, 1)
        gone.metrics({"val/mae": 0.9}, 2)
        gone.end("FINISHED")
    assert told.text.count("MLflow did not take a record") == 1


def test_an_artefact_that_cannot_be_stored_costs_only_itself(
    project: Path, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    report = tmp_path / "report.md"
    report.write_text("# Report", encoding="utf-8")
    with track("stores", project) as tracker:
        assert isinstance(tracker, MlflowTracker)
        tracker.text("a file where the next wants a folder", "taken")
        tracker.file(report, "taken")
        tracker.file(report, "taken")
        tracker.file(tmp_path / "missing.md")
        tracker.metrics({"val/mae": 1.0}, 1)
    run = client(project).get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["val/mae"] == 1.0
    assert len(ours(told)) == 2, "one for each reason"
    assert all("MLflow did not take a record" in line for line in ours(told))


def test_a_parameter_that_the_user_set_otherwise_costs_only_itself(
    project: Path, told: pytest.LogCaptureFixture
) -> None:
    import mlflow

    mlflow.set_tracking_uri(store_uri(project))
    try:
        with mlflow.start_run(experiment_id=mlflow.create_experiment("theirs")) as run:
            mlflow.log_param("epochs", 3)
            with track("ours", project) as tracker:
                tracker.params({"epochs": 4})
                tracker.metrics({"val/mae": 1.0}, 1)
    finally:
        mlflow.set_tracking_uri(None)
    data = client(project).get_run(run.info.run_id).data
    assert (data.params["epochs"], data.metrics["val/mae"]) == ("3", 1.0)
    assert len(ours(told)) == 1


def test_a_local_store_that_is_busy_costs_only_the_record_it_refused(
    project: Path, told: pytest.LogCaptureFixture
) -> None:
    with track("goes on", project) as tracker, no_patience():
        assert isinstance(tracker, MlflowTracker)
        tracker.metrics({"val/mae": 3.0}, 1)
        with locked(project / tracking.LOCAL_STORE):
            tracker.metrics({"val/mae": 2.0}, 2)
        tracker.metrics({"val/mae": 1.0}, 3)
        tracker.text("said", "after.txt")
    assert [
        (m.step, m.value) for m in client(project).get_metric_history(tracker.run_id, "val/mae")
    ] == [(1, 3.0), (3, 1.0)]
    assert [one.path for one in client(project).list_artifacts(tracker.run_id)] == ["after.txt"]
    assert client(project).get_run(tracker.run_id).info.status == "FINISHED"
    assert len(ours(told)) == 1
    assert "MLflow did not take a record" in told.text
    assert "database is locked" in told.text


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Nobody else can read or write it in the block."""
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


@contextmanager
def no_patience() -> Iterator[None]:
    """A locked database is told at once, where MLflow waits for 20 seconds."""
    from sqlalchemy import Engine, event

    def at_once(_: object, __: object, statement: str, values: object, *rest: object) -> object:
        return statement.replace("busy_timeout = 20000", "busy_timeout = 0"), values

    event.listen(Engine, "before_cursor_execute", at_once, retval=True)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", at_once)


@pytest.fixture
def server() -> MlflowServer:
    return MlflowServer()


def refusal(code: str) -> tuple[int, dict[str, str]]:
    """As MLflow's server refuses something."""
    return 400, {"error_code": code, "message": "no such thing"}


def test_a_server_that_refuses_one_record_gets_the_next(
    tmp_path: Path, told: pytest.LogCaptureFixture, server: MlflowServer
) -> None:
    server.answers[RECORD] = [refusal("INVALID_PARAMETER_VALUE")]
    with server.serving() as uri, track("refused", tmp_path, uri=uri) as tracker:
        tracker.params({"epochs": 3})
        tracker.metrics({"val/mae": 1.0}, 1)
    assert server.asked == [*OPENING, RECORD, RECORD, END]
    assert len(ours(told)) == 1
    assert "it is left out, others are sent" in told.text
    assert "no such thing" in told.text


def test_a_server_that_goes_away_costs_seconds_and_one_warning(
    tmp_path: Path, told: pytest.LogCaptureFixture, server: MlflowServer
) -> None:
    with server.serving() as uri, track("loses", tmp_path, uri=uri) as tracker:
        assert isinstance(tracker, MlflowTracker)
        assert tracker.run_id == RUN_ID
        server.hangs_up = True
        began = time.monotonic()
        record_much(tracker)
    assert time.monotonic() - began < 15
    assert server.asked == OPENING
    assert len(ours(told)) == 1, "the end is tried, and adds no warning"
    assert "MLflow cannot be reached; records are left out until it answers" in told.text
    assert not [name for name in tracking._LATER_CALL if name in os.environ]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_proxy_that_answers_for_a_server_that_is_away(
    status: int, tmp_path: Path, told: pytest.LogCaptureFixture, server: MlflowServer
) -> None:
    """It asks for an hour's wait, and MLflow's own patience is eight tries of every record."""
    began = time.monotonic()
    with server.serving() as uri, track("loses", tmp_path, uri=uri) as tracker:
        tracker.open()
        server.proxy = status
        record_much(tracker)
    assert time.monotonic() - began < 15
    assert server.asked == [*OPENING, RECORD, RECORD, RECORD, END, END]
    assert len(ours(told)) == 1
    assert "MLflow cannot be reached; records are left out until it answers" in told.text
    assert f"too many {status} error responses" in told.text


def test_a_proxy_before_a_server_that_never_was_there(tmp_path: Path, server: MlflowServer) -> None:
    server.proxy = 503
    with (
        server.serving() as uri,
        pytest.raises(UserError, match=r"MLflow cannot be reached(?s:.)*--no-mlflow"),
        track("x", tmp_path, uri=uri) as tracker,
    ):
        tracker.open()
    assert server.asked == [FIND, FIND]


@pytest.mark.parametrize("code", ["TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"])
def test_a_server_that_asks_to_be_left_alone_is(
    code: str, tmp_path: Path, told: pytest.LogCaptureFixture, server: MlflowServer
) -> None:
    server.answers[RECORD] = [refusal(code)]
    with server.serving() as uri, track("busy", tmp_path, uri=uri) as tracker:
        record_much(tracker)
    assert server.asked == [*OPENING, RECORD, END]
    assert len(ours(told)) == 1
    assert "MLflow cannot be reached; records are left out until it answers" in told.text


def record_much(tracker: tracking.Tracker) -> None:
    tracker.params({"epochs": 3})
    for epoch in range(1, 30):
        tracker.metrics({"val/mae": 1.0}, epoch)
    tracker.file(Path(__file__))


@pytest.mark.parametrize(("proxy", "tries"), [(503, 2), (0, 1)], ids=["away", "refuses"])
def test_records_of_a_stage_that_opened_nothing_stop_it_no_more_than_others(
    proxy: int, tries: int, tmp_path: Path, told: pytest.LogCaptureFixture, server: MlflowServer
) -> None:
    """A student backend of somebody else's may record only what it has trained."""
    server.proxy = proxy
    server.answers[FIND] = [refusal("PERMISSION_DENIED")]
    with server.serving() as uri, track("late", tmp_path, uri=uri) as tracker:
        record_much(tracker)
    assert server.asked == [FIND] * tries
    assert len(ours(told)) == 1
    assert "MLflow cannot be reached; records are left out until it answers" in told.text


@pytest.mark.parametrize(("question", "strange"), [(RECORD, ["no MLflow"]), (END, {"run_info": 5})])
def test_an_answer_that_nobody_understands_costs_only_itself(
    question: str,
    strange: object,
    tmp_path: Path,
    told: pytest.LogCaptureFixture,
    server: MlflowServer,
) -> None:
    """The second one is an error of MLflow's parser, which no exception of MLflow's wraps."""
    server.answers[question] = [(200, strange)]
    with server.serving() as uri, track("odd", tmp_path, uri=uri) as tracker:
        tracker.metrics({"val/mae": 1.0}, 1)
        tracker.metrics({"val/mae": 0.9}, 2)
    assert server.asked == [*OPENING, RECORD, RECORD, END]
    assert len(ours(told)) == 1


def test_a_server_that_comes_back_gets_records_after_the_pause(
    tmp_path: Path,
    told: pytest.LogCaptureFixture,
    server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with server.serving() as uri, track("returns", tmp_path, uri=uri) as tracker:
        tracker.params({"epochs": 3})
        server.hangs_up = True
        tracker.metrics({"val/mae": 3.0}, 1)
        server.hangs_up = False
        tracker.metrics({"val/mae": 2.0}, 2)
        assert server.asked == [*OPENING, RECORD], "none is sent during the pause"
        with monkeypatch.context() as after_the_pause:
            after_the_pause.setattr(tracking, "_RETRY_AFTER_S", 0.0)
            tracker.metrics({"val/mae": 1.0}, 3)
        tracker.metrics({"val/mae": 0.9}, 4)
    assert server.asked == [*OPENING, RECORD, RECORD, RECORD, END]
    assert len(ours(told)) == 1


def test_a_run_is_closed_where_the_server_comes_back_before_the_end(
    tmp_path: Path, told: pytest.LogCaptureFixture, server: MlflowServer
) -> None:
    with server.serving() as uri, track("closes", tmp_path, uri=uri) as tracker:
        tracker.params({"epochs": 3})
        server.hangs_up = True
        tracker.metrics({"val/mae": 1.0}, 1)
        server.hangs_up = False
    assert server.asked == [*OPENING, RECORD, END]
    assert len(ours(told)) == 1


@pytest.mark.parametrize("wish", [None, "false"], ids=["by default", "the user wants links"])
def test_links_to_the_run_are_no_result_of_a_verb(
    wish: str | None,
    tmp_path: Path,
    server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"
    monkeypatch.delenv(name, raising=False)
    if wish is not None:
        monkeypatch.setenv(name, wish)
    with server.serving() as uri, track("ends", tmp_path, uri=uri) as tracker:
        tracker.open()
    printed = capsys.readouterr().out
    if wish is None:
        assert (printed, server.asked) == ("", [*OPENING, END])
        assert name not in os.environ
    else:
        assert "View run a run at: http://127.0.0.1" in printed
        assert READ in server.asked


def test_off_is_off() -> None:
    code = (
        "import sys; from pathlib import Path; from distillery_core.tracking import track\n"
        "with track('x', Path('.'), enabled=False) as tracker:\n"
        "    tracker.open(); tracker.params({'a': 1}); tracker.metrics({'b': 1.0}, 1)\n"
        "    tracker.text('t', 'n'); tracker.file(Path('f'))\n"
        "assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with track("x", Path(), enabled=False) as tracker:
        assert tracker is NO_TRACKER
