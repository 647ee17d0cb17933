"""What every step begins with: the project, the filter, the run's options, and who is listening."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillery_core.filters import Filter, resolve_filter
from distillery_core.stages.project import Project
from distillery_core.types import Progress

SECONDS_BETWEEN_LINES = 15.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """A project and a filter, opened by a step."""

    project: Project
    filter: Filter

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.project.root

    @property
    def home(self) -> Path:
        """Where the filter's reports and model lie."""
        return self.project.home(self.filter)


def open_work(project: str, filter: str) -> Work:
    """Open what a step was told to work on."""
    root = Path(project)
    return Work(Project(root), resolve_filter(filter, root))


def option(name: str) -> Any:
    """A parameter of the run that decides no result, such as its budget.

    Steps read these from the run instead of taking them as parameters, so that a larger budget
    does not make finished steps run again.
    """
    from zenml import get_step_context

    return (get_step_context().pipeline_run.config.parameters or {}).get(name)


@dataclass
class Listener:
    """Where notes and progress of the running step go; by default into the step's log."""

    say: Callable[[str], None] = logger.info
    progress: Progress | None = None
    _last: float = field(default=0.0, repr=False)

    def on_progress(self, done: int, total: int | None, note: str = "") -> None:
        """Hand progress on, or log a line now and then."""
        if self.progress is not None:
            self.progress(done, total, note)
            return
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES or done == total:
            self._last = now
            logger.info("%s of %s %s", done, "?" if total is None else total, note)


_listeners = [Listener()]


def say(line: str) -> None:
    """One line for people, from the running step."""
    _listeners[-1].say(line)


def progress(done: int, total: int | None, note: str = "") -> None:
    """Progress of the running step."""
    _listeners[-1].on_progress(done, total, note)


@contextmanager
def listening(say: Callable[[str], None] | None, progress: Progress | None) -> Iterator[None]:
    """Send notes and progress of the steps to the caller for the block."""
    _listeners.append(Listener(say or logger.info, progress))
    try:
        yield
    finally:
        _listeners.pop()
