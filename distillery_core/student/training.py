"""Trains a student: one plain loop, to be read from top to bottom."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.beginning import begin, open_accelerator
from distillery_core.student.calibrating import calibrate_saved
from distillery_core.student.checkpoints.state import Position
from distillery_core.student.computing.allocation import memory_kept
from distillery_core.student.computing.device import cpu_threads, pick_threads
from distillery_core.student.computing.memory import largest_that_fits, peak_bytes
from distillery_core.student.computing.sharing import pieces_for
from distillery_core.student.dataset_check import check_dataset
from distillery_core.student.evaluating import evaluate
from distillery_core.student.model_folder import refuse_occupied
from distillery_core.student.optimisation import trainable
from distillery_core.student.record import (
    EpochRecord,
    flat_metrics,
    metadata,
    write_history,
    write_metadata,
)
from distillery_core.student.result import TrainResult
from distillery_core.student.resuming import (
    end_checkpoints,
    mention_interrupted,
    resume,
    save_position,
)
from distillery_core.student.run import MODEL_FOLDER, Run, Say
from distillery_core.student.saving import save_checked
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training_config import write_config
from distillery_core.student.training_step import computed_tokens, loss_share, train_step
from distillery_core.student.whole_folder import recover
from distillery_core.tracking import NO_TRACKER, Tracker
from distillery_core.types import Progress, silent


def train(
    filter: Filter,
    data_dir: Path,
    output_dir: Path,
    settings: TrainSettings,
    tracker: Tracker = NO_TRACKER,
    progress: Progress = silent,
    say: Say = lambda line: None,
) -> TrainResult:
    """Train a student on train.jsonl, keep the epoch that is best on val.jsonl.

    Writes `model/`, `training_history.json`, `training_metadata.json` and `training_config.yaml`
    into `output_dir`, each whole or not at all, after every epoch; a run that is cut off leaves the
    best model so far with its record, and goes on from its last checkpoint with `resume`.

    Args:
        progress: called after every optimizer step.
        say: called with the lines of the live report.

    Raises:
        UserError: dataset, base model, settings or tracker cannot be used, and nothing was
            written; or memory or disk ran out.
        CheckFailed: the loss is not finite, the saved model does not predict the same, or the
            checkpoint is of another run.
    """
    started = time.monotonic()
    dataset = check_dataset(filter, data_dir)
    refuse_occupied(output_dir / MODEL_FOLDER)
    if settings.method == "frozen":
        from distillery_core.student.frozen.training import train_frozen

        frozen = train_frozen(filter, dataset, output_dir, settings, tracker, say)
        return calibrate_saved(frozen, filter, dataset, output_dir, settings, say)
    threads = pick_threads(settings.threads)
    with cpu_threads(threads), memory_kept(not settings.fit_batch):
        _seed(settings.seed)
        accelerator = open_accelerator(settings)
        tracker, progress, say = _told(accelerator, tracker, progress, say)
        run = begin(filter, dataset, output_dir, settings, accelerator, threads, say, tracker.open)
        recover(run.model_dir)
        tracker.params(run.facts.parameters())
        for line in run.facts.notes():
            say(line)
        earlier = _take_up(run, say)

        result: dict[str, Any] = {}
        for epoch in range(run.position.epoch, settings.epochs + 1):
            record = train_epoch(run, epoch, progress, say)
            record.train = evaluate(run, run.shown)
            record.val = evaluate(run, run.val)
            for line in record.lines(settings.epochs):
                say(line)
            record.is_best = run.selection.is_better(record, run.history)
            if record.is_best:
                run.model_sha256 = save_checked(run)
                say(run.selection.line(record, run.history))
                say(f"  Model saved to: {run.model_dir}")
            run.history.append(record)

            waited = run.selection.waited(run.history)
            stops = settings.patience is not None and waited >= settings.patience
            complete = stops or epoch == settings.epochs
            seconds = earlier + time.monotonic() - started
            run.position = Position(epoch=epoch + 1, step=run.position.step, seconds=seconds)
            result = _record(run, seconds, complete)
            if run.is_main:
                write_history(output_dir, run.history)
                write_metadata(output_dir, result)
                write_config(output_dir, filter, settings)
                tracker.metrics(flat_metrics(record), epoch)
            if complete:
                end_checkpoints(run)
                break
            save_position(run, say)
        if epoch < settings.epochs:
            best = run.selection.best(run.history).epoch
            say(f"Stopped after epoch {epoch}: none was better since epoch {best}")
        trained = TrainResult(run.model_dir, tuple(run.history), result)
        if run.is_main:
            trained = calibrate_saved(trained, filter, dataset, output_dir, settings, say)
        accelerator.wait_for_everyone()
    return trained


def _told(
    accelerator: Any, tracker: Tracker, progress: Progress, say: Say
) -> tuple[Tracker, Progress, Say]:
    """Who hears of the run: of several processes only the first one speaks."""
    if not accelerator.is_main_process:
        return NO_TRACKER, silent, lambda line: None
    return tracker, progress, say


def _seed(seed: int) -> None:
    """The generators that layers and libraries draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _take_up(run: Run, say: Say) -> float:
    """Resume, or say what could be resumed; returns the seconds that the run had taken before."""
    earlier = 0.0
    if run.settings.resume:
        earlier = resume(run, say)
    else:
        mention_interrupted(run, say)
    if run.settings.fit_batch and not run.fitted:
        _fit_batch(run, say)
    return earlier


def train_epoch(run: Run, epoch: int, progress: Progress, say: Say) -> EpochRecord:
    """One pass over the articles, or the rest of one; every batch is one optimizer step."""
    settings, at = run.settings, run.position
    run.model.train()
    batches = run.batches(epoch)
    every = settings.checkpoint_every
    for batch in batches[at.batch :]:
        started = time.monotonic()
        pieces = pieces_for(batch, run.lengths, run.processes, run.cut)
        loss = train_step(run, batch, pieces[run.accelerator.process_index])
        at.squared_error += loss * len(batch)
        at.computed_tokens += sum(computed_tokens(run, piece) for own in pieces for piece in own)
        at.batch += 1
        at.step += 1
        seconds = time.monotonic() - started
        at.epoch_seconds += seconds
        at.seconds += seconds
        progress(at.step, run.total_steps, f"epoch {epoch}, loss {loss:.3f}")
        if every and at.step % every == 0 and at.batch < len(batches):
            save_position(run, say)
    tokens = run.train.split.tokens
    peak = run.facts.peak
    return EpochRecord(
        epoch=epoch,
        running_loss=at.squared_error / len(run.lengths),
        learning_rate=float(run.scheduler.get_last_lr()[0]),
        seconds=at.epoch_seconds,
        tokens=tokens,
        padding_waste=1.0 - tokens / at.computed_tokens,
        tokens_per_second=tokens / max(at.epoch_seconds, 1e-9),
        model_flops_utilisation=peak.share(run.flops, at.epoch_seconds) if peak else None,
        peak_memory_bytes=peak_bytes(run.device),
    )


def _fit_batch(run: Run, say: Say) -> None:
    """Find how many of the longest articles fit into memory at a time; the steps stay the same."""
    if run.processes > 1:
        raise UserError("--batch-size auto works on one device", where="--batch-size")
    longest = sorted(range(len(run.lengths)), key=lambda p: -run.lengths[p])
    most = min(run.settings.effective_batch, len(longest))
    trained = [parameter for _, parameter in trainable(run.plain)]

    def attempt(size: int) -> None:
        # The optimizer's two means come into being with the first step; their room is kept free.
        means = [] if run.optimizer.state else [torch.empty_like(p) for p in trained for _ in "12"]
        try:
            with torch.random.fork_rng():
                run.accelerator.backward(loss_share(run, longest[:size], longest[:size]))
        finally:
            means.clear()
            run.optimizer.zero_grad()

    run.model.train()
    fitting = largest_that_fits(attempt, most)
    at_a_time = fitting * run.settings.draws
    run.compute_at_a_time(at_a_time * run.lengths[longest[0]], at_a_time, may_pad=True)
    say(f"Batch size: {fitting} articles fit at a time; {most} make a step, as before")


def _record(run: Run, seconds: float, complete: bool) -> dict[str, Any]:
    """training_metadata.json as of now."""
    return metadata(
        run.facts,
        run.history,
        run.selection.best(run.history),
        run.model_sha256,
        seconds,
        complete,
        run.start.moved(run.plain),
    )
