"""Prepares ZenML for a project: its own store, no analytics, no login, nothing on stdout."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from distillery_core.errors import UserError
from distillery_core.files import write_text

STORE_FOLDER = Path(".distillery") / "zenml"
LOCK_TIMEOUT_S = 120.0
"""Creating the store takes about 10 s on a slow disk; waiting longer means a process hangs."""

_QUIET = {
    "ZENML_ANALYTICS_OPT_IN": "false",
    "ZENML_AUTO_OPEN_DASHBOARD": "false",
    "ZENML_ENABLE_RICH_TRACEBACK": "false",
    "ZENML_ENABLE_REPO_INIT_WARNINGS": "false",
    "ZENML_LOGGING_COLORS_DISABLED": "true",
    # Errors reach the caller as exceptions; ZenML would print each with its traceback, twice.
    "ZENML_LOGGING_VERBOSITY": "CRITICAL",
}


def prepare_environment(project: Path) -> Path | None:
    """Make this process ready to run pipelines of a project; call it before `zenml` is imported.

    The store is `<project>/.distillery/zenml` unless ZENML_CONFIG_PATH or ZENML_STORE_URL says
    otherwise. Variables that the user has set are left as they are.

    Returns:
        The folder of ZenML's configuration; None where ZENML_STORE_URL names a store.

    Raises:
        UserError: the store cannot be written, or another process holds its lock for minutes.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    _keep_our_warnings()
    _name_sources_by_import()
    if "ZENML_STORE_URL" in os.environ:
        return None
    folder = Path(os.environ.setdefault("ZENML_CONFIG_PATH", str(project / STORE_FOLDER)))
    _create_once(folder)
    return folder


def _keep_our_warnings() -> None:
    """Our warnings (a record that MLflow did not take) go to stderr, as without ZenML: it silences
    the root logger, and what that lets through it writes to stdout."""
    ours = logging.getLogger("distillery_core")
    ours.setLevel(logging.WARNING)
    ours.propagate = False
    if logging.lastResort is not None:
        ours.addHandler(logging.lastResort)


def _name_sources_by_import() -> None:
    """Make ZenML name steps by import name, wherever the command was started.

    Its default is the path from the main script's folder or the working directory, by which a step
    of an editable install would be imported a second time under another name.
    """
    neutral = str(Path(sys.prefix))
    os.environ.setdefault("ZENML_CUSTOM_SOURCE_ROOT", neutral)
    if "zenml" in sys.modules:
        from zenml.utils.source_utils import set_custom_source_root

        set_custom_source_root(os.environ["ZENML_CUSTOM_SOURCE_ROOT"])


def _create_once(folder: Path) -> None:
    """Create or migrate the store, one process at a time: on a fresh store all but one would die.

    Source: two or three processes on a new store fail with "database has never been migrated".
    """
    ready = folder / f"ready-{version('zenml')}"
    if ready.is_file() and ready.read_text(encoding="utf-8").strip() == str(folder):
        return
    with _lock(folder):
        _adjust_to_new_place(folder)
        from zenml.client import Client

        _ = Client().active_stack_model
        write_text(ready, f"{folder}\n")


def _adjust_to_new_place(folder: Path) -> None:
    """ZenML's configuration holds absolute paths: follow a project that was moved or copied."""
    config = folder / "config.yaml"
    former = {path.read_text(encoding="utf-8").strip() for path in folder.glob("ready-*")}
    if not config.is_file():
        return
    text = config.read_text(encoding="utf-8")
    for old in former - {str(folder)}:
        text = text.replace(old, str(folder))
    write_text(config, text)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """An exclusive lock that the operating system drops when its holder dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            folder / "create.lock", timeout=LOCK_TIMEOUT_S, isolation_level=None
        )
        connection.execute("BEGIN EXCLUSIVE")
    except (OSError, sqlite3.OperationalError) as error:
        raise UserError(
            f"ZenML's store cannot be set up: {error}",
            where=folder,
            hint="export ZENML_CONFIG_PATH=/a/folder/you/may/write",
        ) from error
    try:
        yield
    finally:
        connection.close()
