"""Training without moving the base: features once, then a head in seconds. The cheap rung."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.computing.device import cpu_threads, pick_threads
from distillery_core.student.dataset_check import CheckedDataset
from distillery_core.student.frozen.fitting import fit_head
from distillery_core.student.frozen.reading import FrozenRun, decide_reading, read_splits
from distillery_core.student.frozen.record import Course, facts_of
from distillery_core.student.frozen.settings import say_what_is_not_read
from distillery_core.student.model_card import card_for
from distillery_core.student.model_folder import save_model
from distillery_core.student.predict import forward
from distillery_core.student.record import (
    flat_metrics,
    metadata,
    write_history,
    write_metadata,
)
from distillery_core.student.result import TrainResult
from distillery_core.student.run import MODEL_FOLDER, Say
from distillery_core.student.saving import RELOAD_ARTICLES, Reload
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training_config import write_config
from distillery_core.student.whole_folder import recover
from distillery_core.tracking import Tracker


def train_frozen(
    filter: Filter,
    dataset: CheckedDataset,
    output_dir: Path,
    settings: TrainSettings,
    tracker: Tracker,
    say: Say,
) -> TrainResult:
    """Fit a ridge or an MLP head on a frozen base's features and save a model folder.

    A ridge head becomes the base's own regression layer, so that the folder loads with plain
    transformers; an MLP head lies beside the base (`headed.py`).

    Raises:
        UserError: as `training.train`; a frozen run is neither resumed nor shared out.
        CheckFailed: the saved model does not predict the same.
    """
    _refuse_what_is_not_there(settings)
    say_what_is_not_read(settings, filter.config.training, say)
    decided = decide_reading(settings, say)
    tracker.open()
    threads, started = pick_threads(settings.threads), time.monotonic()
    with cpu_threads(threads):
        torch.manual_seed(settings.seed)
        run = read_splits(filter, dataset, settings, decided, threads, say)
        facts, course = facts_of(run), Course(run)
        tracker.params(facts.parameters())
        for line in [*facts.notes(), *_looked_up(run)]:
            say(line)
        model, moved = fit_head(run, course)
        digest = _save(run, model, output_dir / MODEL_FOLDER)
    history, seconds = course.history, time.monotonic() - started
    best = run.selection.best(history)
    record = metadata(facts, history, best, digest, seconds, True, moved)
    record["features_from_cache"] = run.train.features.from_cache
    write_history(output_dir, history)
    write_metadata(output_dir, record)
    write_config(output_dir, filter, settings)
    for epoch in history:
        tracker.metrics(flat_metrics(epoch), epoch.epoch)
    chosen = run.selection.line(best, history[: best.epoch - 1])
    for line in [*best.lines(len(history)), chosen]:
        say(line)
    say(f"  Model saved to: {output_dir / MODEL_FOLDER}")
    return TrainResult(output_dir / MODEL_FOLDER, tuple(history), record)


def _refuse_what_is_not_there(settings: TrainSettings) -> None:
    if settings.resume is not None:
        what = "a frozen run is not resumed: what took long lies in the cache"
        raise UserError(what, where="--resume", hint="leave --resume out")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("--method frozen works in one process", where="--devices")


def _looked_up(run: FrozenRun) -> list[str]:
    if not run.train.features.from_cache:
        return []
    return ["The base reads no training article: an earlier run left their features in the cache"]


def _save(run: FrozenRun, model: Any, model_dir: Path) -> str:
    """Save base and head, read back; returns the folder's `model_sha256`."""
    recover(model_dir)
    encoder, probe = run.base.encoder, run.val.scored.split.articles[:RELOAD_ARTICLES]
    expected = forward(model, probe, encoder.pad_token_id)
    check = Reload(model, run.base.device, probe, encoder.pad_token_id, expected)
    card = card_for(run.filter, run.settings, run.dataset)
    return save_model(model_dir, model, encoder.tokenizer, card, check)
