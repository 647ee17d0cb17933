"""Experiment tracking: parameters, metrics per epoch and reports of a run, in MLflow or nowhere.

Runs go to a local SQLite store (`.distillery/mlflow.db`) unless an address is given or
MLFLOW_TRACKING_URI is set. Where a run is already active (a ZenML step with an MLflow experiment
tracker), it is used and left open. MLflow is imported only when a run is tracked.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from distillery_core.errors import UserError

URI_VARIABLE = "MLFLOW_TRACKING_URI"
LOCAL_STORE = Path(".distillery") / "mlflow.db"
LOCAL_ARTIFACTS = Path(".distillery") / "mlflow-artifacts"
# A busy server may ask for a wait of any length; the pause between tries is decided here.
_OWN_WAITS = {"MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false"}
_FIRST_CALL = _OWN_WAITS | {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
"""How long a server may keep the first question waiting, in seconds and further tries. MLflow's own
patience, 120 and 7, is minutes of silence where nobody answers."""
_LATER_CALL = _OWN_WAITS | {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
"""The same for one that has answered before: training waits while a record is on its way."""
_RETRY_AFTER_S = 60.0
"""Pause before a lost server is tried again: the wait for one that stays away is paid at most once
a minute, and one that was away for minutes gets the records of the hours that follow."""
_NO_ANSWER = frozenset({429, 502, 503, 504})
"""What a proxy, or a server that asks to be left alone, answers to every record alike."""
# MLflow prints links to a run that ends on stdout, where only a verb's own results belong.
_NO_LINKS = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
_MOST_CHARS = 6000

log = logging.getLogger(__name__)


class Tracker(Protocol):
    """What a stage tells about its run. Values that are None are left out.

    Only `open` can stop a stage; a record that cannot be sent is a warning.
    """

    def open(self) -> None:
        """Open the run: called once what is cheap to see speaks for the input, before the work that
        takes long or costs money.

        Raises:
            UserError: the server or store cannot be reached.
        """

    def params(self, values: Mapping[str, Any]) -> None:
        """What was asked for, once per name."""

    def metrics(self, values: Mapping[str, float | None], step: int = 0) -> None:
        """Numbers at a step (epoch)."""

    def text(self, text: str, name: str) -> None:
        """A text as an artefact called `name`."""

    def file(self, path: Path, folder: str = "") -> None:
        """A file as an artefact under its own name, in a folder of the run's artefacts."""


class NoTracker:
    """Tracks nothing."""

    def open(self) -> None:
        """There is none."""

    def params(self, values: Mapping[str, Any]) -> None:
        """Drop them."""

    def metrics(self, values: Mapping[str, float | None], step: int = 0) -> None:
        """Drop them."""

    def text(self, text: str, name: str) -> None:
        """Drop it."""

    def file(self, path: Path, folder: str = "") -> None:
        """Drop it."""


NO_TRACKER: Tracker = NoTracker()


class MlflowTracker:
    """Writes to one MLflow run; a record that fails is warned about and never stops the stage.

    One that was refused is left out, and the next are sent. While the server cannot be reached,
    records are left out without being tried, since each would wait as long as the first; it is
    tried again with the first record after a pause, and with the end of the run.

    Args:
        open_run: gives an mlflow.MlflowClient and the id of an open run, or raises UserError;
            called by `open`, or else with the first record.
    """

    def __init__(self, open_run: Callable[[], tuple[Any, str]]) -> None:
        self._open_run = open_run
        self._opened: tuple[Any, str] | None = None
        self._lost_at: float | None = None
        self._refusals: set[str] = set()

    @property
    def client(self) -> Any:
        """The client, the run opened if it was not yet."""
        return self._run()[0]

    @property
    def run_id(self) -> str:
        """The run, opened if it was not yet."""
        return self._run()[1]

    def open(self) -> None:
        """Open the run, if it was not yet."""
        self._run()

    def end(self, status: str) -> None:
        """Close the run, if one was opened."""
        if self._opened is not None:
            with _variables(_NO_LINKS):
                self._send(lambda to, run: to.set_terminated(run, status=status), is_last=True)

    def _run(self) -> tuple[Any, str]:
        if self._opened is None:
            self._opened = self._open_run()
        return self._opened

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters; one that is longer than MLflow takes is cut."""
        from mlflow.entities import Param

        kept = [Param(k, str(v)[:_MOST_CHARS]) for k, v in values.items() if v is not None]
        self._send(lambda to, run: to.log_batch(run, params=kept))

    def metrics(self, values: Mapping[str, float | None], step: int = 0) -> None:
        """Log metrics."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        kept = [Metric(k, float(v), now, step) for k, v in values.items() if v is not None]
        self._send(lambda to, run: to.log_batch(run, metrics=kept))

    def text(self, text: str, name: str) -> None:
        """Log a text artefact."""
        self._send(lambda to, run: to.log_text(run, text, name))

    def file(self, path: Path, folder: str = "") -> None:
        """Log a file artefact."""
        self._send(lambda to, run: to.log_artifact(run, str(path), folder or None))

    def _send(self, record: Callable[[Any, str], Any], *, is_last: bool = False) -> None:
        if self._is_pausing() and not is_last:
            return
        try:
            client, run_id = self._run()
            with _variables(_LATER_CALL if self._lost_at is None else _FIRST_CALL):
                record(client, run_id)
            self._lost_at = None
        except Exception as error:  # noqa: BLE001 - whatever it is, the work behind it stands
            if _is_unreachable(error):
                self._pause(error)
            else:
                self._tell_refusal(error)

    def _is_pausing(self) -> bool:
        return self._lost_at is not None and time.monotonic() - self._lost_at < _RETRY_AFTER_S

    def _pause(self, error: Exception) -> None:
        """Send nothing for a while; warned about once for each time that the server goes away."""
        if self._lost_at is None:
            log.warning(
                "MLflow cannot be reached; records are left out until it answers (tried again "
                "after %g s and at the end; without an answer then, the run stays open there): %s",
                _RETRY_AFTER_S,
                _first_line(error),
            )
        self._lost_at = time.monotonic()

    def _tell_refusal(self, error: Exception) -> None:
        line = _first_line(error)
        if line not in self._refusals:
            self._refusals.add(line)
            log.warning("MLflow did not take a record; it is left out, others are sent: %s", line)


@contextmanager
def track(
    run_name: str,
    project: Path,
    *,
    experiment: str = "distillery",
    uri: str | None = None,
    tags: Mapping[str, str] | None = None,
    enabled: bool = True,
) -> Iterator[Tracker]:
    """Open a tracked run around a stage; it ends FINISHED, or FAILED if the block raises.

    Args:
        project: root of the project, for the local store.
        uri: a tracking server or store; None takes MLFLOW_TRACKING_URI, then the local store.
        enabled: False tracks nothing and does not import MLflow.

    Nothing is opened before the stage says `open` or sends its first record, so that one that
    refuses its input before leaves no store behind.
    """
    if not enabled:
        yield NO_TRACKER
        return
    active = _active_run()
    if active is not None:
        yield active
        return
    tracker = MlflowTracker(lambda: _open_run(run_name, project, experiment, uri, tags or {}))
    try:
        yield tracker
    except BaseException:
        tracker.end("FAILED")
        raise
    tracker.end("FINISHED")


def store_uri(project: Path, uri: str | None = None) -> str:
    """Where runs go: the address given, MLFLOW_TRACKING_URI, or the project's SQLite store."""
    local = (project / LOCAL_STORE).resolve()
    return uri or os.environ.get(URI_VARIABLE) or f"sqlite:///{local.as_posix()}"


def _active_run() -> MlflowTracker | None:
    """The run that somebody in this process has opened, if any."""
    if "mlflow" not in sys.modules:
        return None
    import mlflow

    run = mlflow.active_run()
    return MlflowTracker(lambda: (mlflow.MlflowClient(), run.info.run_id)) if run else None


def _open_run(
    run_name: str, project: Path, experiment: str, uri: str | None, tags: Mapping[str, str]
) -> tuple[Any, str]:
    address = store_uri(project, uri)
    is_local = address == store_uri(project, None) and URI_VARIABLE not in os.environ
    # MLflow reports usage to its makers unless told otherwise; a run here tells nobody.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        if is_local:
            (project / LOCAL_STORE).parent.mkdir(parents=True, exist_ok=True)
        with quiet_migrations():
            client = MlflowClient(tracking_uri=address)
            with _variables(_FIRST_CALL):
                found = client.get_experiment_by_name(experiment)
            with bounded_waits():
                kept_in = project if is_local else None
                found = found or _new_experiment(client, experiment, kept_in)
                run = client.create_run(found.experiment_id, run_name=run_name, tags=dict(tags))
    except (MlflowException, OSError) as error:
        raise UserError(
            f"MLflow cannot be reached: {_first_line(error)}",
            where=address,
            hint=f"start the server, unset {URI_VARIABLE} to keep runs in {LOCAL_STORE}, or record "
            "nothing with --no-mlflow; MLFLOW_HTTP_REQUEST_TIMEOUT=60 waits longer for a slow one",
        ) from error
    return client, run.info.run_id


def _new_experiment(client: Any, name: str, project: Path | None) -> Any:
    """Make the experiment; a local one keeps its artefacts in the project."""
    location = (project / LOCAL_ARTIFACTS).resolve().as_uri() if project else None
    return client.get_experiment(client.create_experiment(name, artifact_location=location))


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _is_unreachable(error: BaseException | None) -> bool:
    """Whether the next record would fare the same: no answer, or none of the server's own.

    As opposed to a refusal or a file that cannot be read. MLflow wraps what requests raises; both
    are OSErrors in part, so the chain of causes decides.
    """
    from mlflow.exceptions import ERROR_CODE_TO_HTTP_STATUS, RestException
    from requests import ConnectionError as NoConnection
    from requests import Timeout
    from requests.exceptions import RetryError

    if isinstance(error, UserError | NoConnection | Timeout | RetryError):
        return True
    # Only a server's own words: MLflow gives a local database that is locked or full the same code.
    if isinstance(error, RestException):
        return ERROR_CODE_TO_HTTP_STATUS.get(error.error_code) in _NO_ANSWER
    return error is not None and _is_unreachable(error.__cause__ or error.__context__)


def bounded_waits() -> AbstractContextManager[None]:
    """In the block a server that has gone away costs seconds, where MLflow would take minutes."""
    return _variables(_LATER_CALL)


@contextmanager
def _variables(defaults: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the block where the user has not."""
    missing = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            del os.environ[name]


@contextmanager
def quiet_migrations() -> Iterator[None]:
    """The first use of a SQLite store prints a page of schema migrations; nobody asked."""
    loggers = [logging.getLogger(name) for name in ("alembic", "mlflow.store.db.utils")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
