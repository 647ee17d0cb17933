"""Puts a run down in a checkpoint, and takes it up from one."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object

from distillery_core.errors import CheckFailed, UserError
from distillery_core.student.checkpoints.checkpoint import (
    BEST,
    random_state,
    read_state,
    refuse_other_run,
    restore,
    restore_random,
    write_checkpoint,
)
from distillery_core.student.checkpoints.files import FINISHED
from distillery_core.student.checkpoints.folder import (
    damaged_checkpoint,
    find_checkpoint,
    mark_finished,
    unfinished,
)
from distillery_core.student.checkpoints.state import RunState
from distillery_core.student.checkpoints.tensors import trained_tensors
from distillery_core.student.model_folder import copy_model, model_sha256
from distillery_core.student.peak import kept
from distillery_core.student.run import Run, Say
from distillery_core.student.settings import HOW_CUT, TrainSettings


def save_position(run: Run, say: Say) -> None:
    """Write a checkpoint, if the run keeps any.

    A disk without room for one is said, and training goes on: the last good one is still there.
    """
    folder = run.settings.checkpoint_dir
    if folder is None:
        return
    states = gather_object([random_state(run.device)])
    tensors = trained_tensors(run.plain, run.optimizer.optimizer, run.names, run.is_main)
    if run.is_main:
        state = RunState(
            run=run.name,
            identity=run.identity,
            position=replace(run.position),
            history=run.history,
            model_sha256=run.model_sha256,
            scheduler=_plain(run.scheduler.state_dict()),
            rates=[group["lr"] for group in run.optimizer.param_groups],
            at_a_time=run.at_a_time,
            peak=run.facts.peak,
        )
        try:
            write_checkpoint(
                Path(folder),
                state,
                tensors,
                states,
                run.model_dir if run.model_sha256 else None,
                run.settings.keep,
            )
        except UserError as error:
            say(f"No checkpoint: {error}")
    run.accelerator.wait_for_everyone()


def end_checkpoints(run: Run) -> None:
    """Note that the run has ended, so that nobody is told to go on with it."""
    folder = run.settings.checkpoint_dir
    if folder is not None and run.is_main:
        mark_finished(Path(folder), run.name)


def mention_interrupted(run: Run, say: Say) -> None:
    """Say that an earlier run can be resumed instead, before this one's checkpoints replace it."""
    folder = run.settings.checkpoint_dir
    left = unfinished(Path(folder)) if folder is not None else None
    if left is not None:
        say(
            f"An earlier run was interrupted: --resume goes on from {left}, until this run's first "
            "checkpoint replaces it"
        )


def resume(run: Run, say: Say) -> float:
    """Take a run up where its checkpoint stands; returns the seconds it had taken.

    Raises:
        UserError: there is no such checkpoint, or it is damaged; or the best model so far cannot
            be put back (full disk), and what stood in its place still does.
        CheckFailed: it is of another run: other settings, data or base.
    """
    settings = run.settings
    path = checkpoint_of(settings)
    state = read_state(path)
    apart = {"gradient_checkpointing"} if _names_other_pieces(run, state) else set()
    refuse_other_run(path, _compared(state.identity, apart), _compared(run.identity, apart))
    restore(path, state, run.plain, run.optimizer.optimizer, run.names)
    _restore_schedule(run, path, state)
    restore_random(path, state, run.accelerator.process_index, run.device)
    run.name, run.position = state.run, state.position
    _cut_as_before(run, state, say)
    run.facts = replace(run.facts, peak=kept(state.peak, run.facts.peak))
    run.history = state.history
    run.model_sha256 = state.model_sha256
    if run.is_main:
        _put_best_back(run, path)
    run.accelerator.wait_for_everyone()
    say(f"Resumed from {path}: epoch {state.position.epoch}, step {state.position.step}")
    if (path / FINISHED).exists():
        say("That run had ended: what followed this checkpoint is only computed again")
    return state.position.seconds


def checkpoint_of(settings: TrainSettings) -> Path:
    """The checkpoint that a run is to be taken up from; nothing of it is read.

    Raises:
        UserError: there is none.
    """
    folder = Path(settings.checkpoint_dir) if settings.checkpoint_dir else None
    return find_checkpoint(settings.resume or "", folder)


def _compared(identity: Mapping[str, Any], apart: Set[str]) -> dict[str, Any]:
    """An identity without what only decides how batches are cut into pieces, and without `apart`:
    where other pieces are named, the plan may find room without gradient checkpointing."""
    settings = {n: v for n, v in identity["settings"].items() if n not in HOW_CUT}
    return {n: v for n, v in identity.items() if n not in apart} | {"settings": settings}


def _names_other_pieces(run: Run, state: RunState) -> bool:
    named = run.settings.micro_batch_tokens
    return named is not None and named != state.identity["settings"].get("micro_batch_tokens")


def _cut_as_before(run: Run, state: RunState, say: Say) -> None:
    """As many tokens at a time as the run began with, unless other ones are named now."""
    run.fitted = bool(state.identity["settings"].get("fit_batch"))
    if not _names_other_pieces(run, state):
        run.compute_at_a_time(*state.at_a_time)
    elif list(run.at_a_time) != list(state.at_a_time):
        say(
            f"{run.micro_tokens:,} tokens at a time, not {state.at_a_time[0]:,} as before: the "
            "same steps, but their sums are added up in another order"
        )


def _put_best_back(run: Run, path: Path) -> None:
    """The best model so far, where the output folder holds another one or none."""
    if not run.model_sha256:
        return
    if run.model_dir.is_dir() and model_sha256(run.model_dir) == run.model_sha256:
        return
    if not (path / BEST).is_dir() or model_sha256(path / BEST) != run.model_sha256:
        raise CheckFailed(
            f"the best model of the run is neither in {run.model_dir} nor in {path}",
            hint="leave --resume out to begin anew",
        )
    copy_model(path / BEST, run.model_dir, run.model_sha256)


def _restore_schedule(run: Run, path: Path, state: RunState) -> None:
    own = _plain(run.scheduler.state_dict())
    if {n: type(v) for n, v in own.items()} != {n: type(v) for n, v in state.scheduler.items()}:
        raise damaged_checkpoint(path, "it does not hold this schedule")
    functions = [None] * len(run.optimizer.param_groups)  # the new run has its own
    run.scheduler.load_state_dict({**state.scheduler, "lr_lambdas": functions})


def _plain(state: dict[str, object]) -> dict[str, object]:
    """The schedule's state without its functions."""
    return {key: value for key, value in state.items() if key != "lr_lambdas"}
