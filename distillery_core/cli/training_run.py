"""What stands around a training run: several processes with one voice, and how to go on after
Ctrl-C, or after one of them was killed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from distillery_core.cli.app import Interrupted
from distillery_core.errors import DistilleryError

if TYPE_CHECKING:
    from distillery_core.filters import Filter
    from distillery_core.stages.project import Project


def launch_train(arguments: Sequence[str], processes: int) -> int:
    """Start the same command in so many processes, one a device.

    Args:
        arguments: of `train`, as they were given.

    Returns:
        The exit code.

    Raises:
        KilledBySignal: one of them was ended by a signal.
    """
    from distillery_core.student.launch import launch

    return launch(["train", *_without_devices(arguments)], processes)


@contextmanager
def one_voice() -> Iterator[None]:
    """In a process that may be one of several: it ends with its launcher, and of all errors that
    come of one cause the first is printed alone."""
    from distillery_core.student.launch import end_with_launcher, let_the_first_speak

    end_with_launcher()
    try:
        yield
    except Exception as error:
        let_the_first_speak(is_cause=isinstance(error, (DistilleryError, Interrupted)))
        raise


@contextmanager
def told_how_to_go_on(
    project: Project, filter: Filter, output_dir: Path | None, resumed: str | None
) -> Iterator[None]:
    """Ctrl-C in the block, or a process that was killed, says whether there is a checkpoint to go
    on from."""
    from distillery_core.stages.training_folders import checkpoint_since
    from distillery_core.student.launch import KilledBySignal

    began = time.time()
    try:
        yield
    except (KeyboardInterrupt, KilledBySignal) as error:
        written = checkpoint_since(project, filter, output_dir, began)
        if written is not None:
            how = f"--resume goes on from the last checkpoint, {project.relative(written)}"
        elif resumed:
            how = "the same command goes on from the checkpoint that it began with"
        else:
            how = "there is no checkpoint yet, the same command begins anew"
        if isinstance(error, KilledBySignal):
            raise error.with_hint(how) from error
        raise Interrupted(how) from error


def _without_devices(arguments: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for word in arguments:
        follows = bool(kept) and kept[-1] == "--devices"
        if follows:
            kept.pop()
        elif not word.startswith("--devices="):
            kept.append(word)
    return kept
