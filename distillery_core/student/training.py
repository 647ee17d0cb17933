"""Trains a student: one plain loop, to be read from top to bottom."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.batches import micro_batches, pad
from distillery_core.student.beginning import begin, open_accelerator
from distillery_core.student.calibrating import calibrate_saved
from distillery_core.student.checkpoint import recover
from distillery_core.student.data import Encoded
from distillery_core.student.dataset_check import check_dataset
from distillery_core.student.device import autocast, cpu_threads, pick_threads
from distillery_core.student.finding import needle_metrics, overall_scores
from distillery_core.student.memory import (
    Part,
    largest_that_fits,
    memory_named,
    out_of_memory,
    peak_bytes,
)
from distillery_core.student.metrics import Array, summarise
from distillery_core.student.optimisation import trainable
from distillery_core.student.packing import packed_logits
from distillery_core.student.predict import Predictions, forward, tokens_at_a_time
from distillery_core.student.record import (
    EpochRecord,
    Metrics,
    flat_metrics,
    metadata,
    write_history,
    write_metadata,
)
from distillery_core.student.resuming import (
    end_checkpoints,
    mention_interrupted,
    resume,
    save_position,
)
from distillery_core.student.run import Run, Say, Scored
from distillery_core.student.run_state import Position
from distillery_core.student.saving import save_checked
from distillery_core.student.settings import TrainSettings
from distillery_core.student.sharding import whole
from distillery_core.student.sharing import everywhere, pieces_for
from distillery_core.student.training_config import write_config
from distillery_core.tracking import NO_TRACKER, Tracker
from distillery_core.types import Progress, silent


@dataclass(frozen=True)
class TrainResult:
    """What a training run left behind.

    `seconds` is wall time of the whole run; `metadata` is what training_metadata.json holds.
    """

    model_dir: Path
    history: tuple[EpochRecord, ...]
    metadata: dict[str, Any]

    @property
    def best_val_mae(self) -> float:
        """Validation MAE of the saved checkpoint."""
        return float(self.metadata["best_val_mae"])


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
        UserError: dataset, base model or settings cannot be used, and nothing was written; or
            memory or disk ran out.
        CheckFailed: the loss is not finite, the saved model does not predict the same, or the
            checkpoint is of another run.
    """
    started = time.monotonic()
    dataset = check_dataset(filter, data_dir)
    if settings.method == "frozen":
        from distillery_core.student.frozen import train_frozen

        frozen = train_frozen(filter, dataset, output_dir, settings, tracker, say)
        return calibrate_saved(frozen, dataset.val, output_dir, settings, say)
    threads = pick_threads(settings.threads)
    with cpu_threads(threads):
        _seed(settings.seed)
        accelerator = open_accelerator(settings)
        if not accelerator.is_main_process:  # one of several processes: the first one speaks
            tracker, progress, say = NO_TRACKER, silent, lambda line: None
        run = begin(filter, dataset, output_dir, settings, accelerator, threads, say)
        recover(run.model_dir)
        tracker.params(run.facts.parameters())
        for line in run.facts.notes():
            say(line)
        earlier = _take_up(run, say)

        result: dict[str, Any] = {}
        for epoch in range(run.position.epoch, settings.epochs + 1):
            record = train_epoch(run, epoch, progress, say)
            record.train = _evaluate(run, run.shown)
            record.val = _evaluate(run, run.val)
            for line in record.lines(settings.epochs):
                say(line)
            record.is_best = run.selection.is_better(record, run.history)
            if record.is_best:
                run.model_sha256 = save_checked(run)
                say(run.selection.line(record))
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
            say(f"Stopped after epoch {epoch}: no better one for {settings.patience} epochs")
        trained = TrainResult(run.model_dir, tuple(run.history), result)
        if run.is_main:
            trained = calibrate_saved(trained, dataset.val, output_dir, settings, say)
        accelerator.wait_for_everyone()
    return trained


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
        loss = _train_step(run, batch, pieces[run.accelerator.process_index])
        at.squared_error += loss * len(batch)
        at.computed_tokens += sum(_computed(run, piece) for own in pieces for piece in own)
        at.batch += 1
        at.step += 1
        seconds = time.monotonic() - started
        at.epoch_seconds += seconds
        at.seconds += seconds
        progress(at.step, run.total_steps, f"epoch {epoch}, loss {loss:.3f}")
        if every and at.step % every == 0 and at.batch < len(batches):
            save_position(run, say)
    tokens = run.train.split.tokens
    rate = run.flops / max(at.epoch_seconds, 1e-9)
    return EpochRecord(
        epoch=epoch,
        running_loss=at.squared_error / len(run.lengths),
        learning_rate=float(run.scheduler.get_last_lr()[0]),
        seconds=at.epoch_seconds,
        tokens=tokens,
        padding_waste=1.0 - tokens / at.computed_tokens,
        tokens_per_second=tokens / max(at.epoch_seconds, 1e-9),
        model_flops_utilisation=None if run.peak is None else rate / run.peak,
        peak_memory_bytes=peak_bytes(run.device),
    )


def _train_step(run: Run, batch: Sequence[int], pieces: Sequence[Sequence[int]]) -> float:
    """Forward and backward piece by piece, then one step; returns the batch's loss (MSE).

    Each piece's squared errors are divided by the whole batch's size, so the gradient does not
    depend on how the batch is cut, nor among how many processes.
    """
    loss = torch.zeros((), device=run.device)
    for number, piece in enumerate(pieces):
        exchanged = _gradients_exchanged(run, last=number == len(pieces) - 1)
        with exchanged, _memory_named(run, piece or batch[:1], batch):
            share = _loss_share(run, piece, batch)
            # Processes take the mean of their gradients; the batch's is the sum.
            run.accelerator.backward(share * run.processes if run.processes > 1 else share)
        loss += share.detach()
    if run.processes > 1:
        loss = run.accelerator.reduce(loss, "sum")
    with _memory_named(run, (pieces[0] if pieces else ()) or batch[:1], batch, "update"):
        norm = run.accelerator.clip_grad_norm_(run.model.parameters(), run.settings.max_grad_norm)
        _refuse_not_finite(run, float(loss), float(whole(norm)), batch)
        run.optimizer.step()
    run.scheduler.step()
    run.optimizer.zero_grad()
    return float(loss)


def _memory_named(
    run: Run, piece: Sequence[int], batch: Sequence[int], part: Part = "piece"
) -> AbstractContextManager[None]:
    """Names this piece where memory runs out."""

    def named() -> UserError:
        articles = [run.train.split.articles[p] for p in piece]
        tokens = _computed(run, piece)
        return out_of_memory(run.position.step + 1, articles, len(batch), tokens, part)

    return memory_named(named)


def _gradients_exchanged(run: Run, last: bool) -> AbstractContextManager[Any]:
    """Processes exchange gradients once a step, with the last piece."""
    if run.processes == 1:
        return nullcontext()
    if run.settings.fsdp:
        run.model.set_requires_gradient_sync(last)
        return nullcontext()
    return nullcontext() if last else run.accelerator.no_sync(run.model)


def _loss_share(run: Run, piece: Sequence[int], batch: Sequence[int]) -> Tensor:
    """A piece's part of its batch's loss. An empty piece computes an article that counts nothing,
    since the other processes wait for this one."""
    positions = list(piece) or [batch[0]]
    articles = [run.train.split.articles[p] for p in positions]
    logits = _logits(run, articles)
    labels = torch.from_numpy(run.train.split.labels[positions]).to(run.device)
    weights = torch.from_numpy(run.loss_weights[positions]).to(run.device)
    squared = torch.square(logits.float() - labels) * weights[:, None]
    share = squared.sum() / (len(batch) * labels.shape[1])
    return share if piece else share * 0.0


def _logits(run: Run, articles: Sequence[Encoded]) -> Tensor:
    with autocast(run.device, run.precision):
        if run.packed:
            return packed_logits(run.plain, articles, run.device)
        ids = pad(articles, run.encoder.pad_token_id, run.device)
        logits: Tensor = run.model(input_ids=ids.input_ids, attention_mask=ids.mask).logits
        return logits


def _computed(run: Run, piece: Sequence[int]) -> int:
    """Tokens that a piece costs, its padding counted."""
    if run.packed:
        return sum(run.lengths[p] for p in piece)
    return len(piece) * max((run.lengths[p] for p in piece), default=0)


def _refuse_not_finite(run: Run, loss: float, norm: float, batch: Sequence[int]) -> None:
    if np.isfinite(loss) and np.isfinite(norm):
        return
    rates = ", ".join(f"{rate:.2g}" for rate in run.scheduler.get_last_lr())
    ids = ", ".join(run.train.split.articles[p].id for p in batch)
    raise CheckFailed(
        f"training stopped at step {run.position.step + 1}: loss {loss}, gradient norm {norm}",
        reasons=[f"learning rates {rates}", f"articles {ids}"],
        hint="look at these articles' labels, or lower --learning-rate",
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
                run.accelerator.backward(_loss_share(run, longest[:size], longest[:size]))
        finally:
            means.clear()
            run.optimizer.zero_grad()

    run.model.train()
    fitting = largest_that_fits(attempt, most)
    run.compute_at_a_time(fitting * run.lengths[longest[0]], fitting, may_pad=True)
    say(f"Batch size: {fitting} articles fit at a time; {most} make a step, as before")


def _evaluate(run: Run, scored: Scored) -> Metrics:
    """Metrics in evaluation mode, clipped to 0-10: what the scorer would give."""
    articles = scored.split.articles
    pad_token_id = run.encoder.pad_token_id
    usual, asked = tokens_at_a_time(run.device), run.settings.micro_batch_tokens
    tokens = usual if asked is None else min(usual, asked)

    def compute(rows: Sequence[int]) -> Array:
        taken = [articles[row] for row in rows]
        with memory_named(lambda: _too_much_to_evaluate(run, taken, tokens)):
            return forward(run.plain, taken, pad_token_id, tokens)

    if run.settings.fsdp:  # every process takes part in every piece
        raw = compute(range(len(articles)))
    else:
        lengths = [len(article) for article in articles]
        raw = everywhere(run.accelerator, lengths, scored.split.labels.shape[1], compute)
    _refuse_bad_predictions(raw, articles)
    values = Predictions.of(raw).values
    overall = overall_scores(run.filter, values, scored.texts)
    summary = summarise(values, scored.split.labels, run.filter.dimensions)
    return summary | needle_metrics(run.filter, overall, scored.overall)


def _too_much_to_evaluate(run: Run, articles: Sequence[Encoded], tokens: int) -> UserError:
    """Names the piece of the longest articles, which comes first."""
    lengths = [len(article) for article in articles]
    piece = [articles[p] for p in micro_batches(range(len(articles)), lengths, tokens)[0]]
    computed = len(piece) * len(piece[0])
    return out_of_memory(run.position.step, piece, len(articles), computed, "evaluation")


def _refuse_bad_predictions(raw: Array, articles: Sequence[Encoded]) -> None:
    bad = [a.id for a, row in zip(articles, raw, strict=True) if not np.isfinite(row).all()]
    if bad:
        raise CheckFailed(
            "training stopped: the model's predictions are not finite",
            reasons=[f"articles {', '.join(bad[:20])}"],
            hint="lower --learning-rate",
        )


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
