"""Training without moving the base: features once, then a head in seconds. The cheap rung."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.auto import pooling_of, refuse_flex_on_a_cpu
from distillery_core.student.batches import micro_batches, padding_waste
from distillery_core.student.beginning import fixed_subset, train_evaluated
from distillery_core.student.checkpoint import recover, save_model
from distillery_core.student.data import Encoded, TextEncoder
from distillery_core.student.dataset_check import CheckedDataset
from distillery_core.student.device import cpu_threads, pick_device, pick_threads
from distillery_core.student.finding import needle_metrics, overall_scores
from distillery_core.student.frozen_features import (
    Kind,
    as_read,
    base_sha256,
    features,
    tokens_at_a_time,
)
from distillery_core.student.frozen_heads import MlpHead, fit_mlp, fit_ridge, mlp_parameters
from distillery_core.student.frozen_settings import fitted, say_what_is_not_read
from distillery_core.student.headed import HeadedModel
from distillery_core.student.memory import peak_bytes
from distillery_core.student.metrics import Array, summarise
from distillery_core.student.model_card import ModelCard, card_for
from distillery_core.student.model_factory import Built, build, is_head, output_layer
from distillery_core.student.optimisation import StartingPoint
from distillery_core.student.predict import Predictions, forward, load_model
from distillery_core.student.record import (
    EpochRecord,
    Metrics,
    RunFacts,
    flat_metrics,
    metadata,
    write_history,
    write_metadata,
)
from distillery_core.student.result import TrainResult
from distillery_core.student.run import MODEL_FOLDER, Say, Scored
from distillery_core.student.selection import Selection
from distillery_core.student.settings import TrainSettings, frozen_as_recorded
from distillery_core.student.tolerances import RELOAD_TOLERANCE
from distillery_core.student.training_config import write_config
from distillery_core.tracking import Tracker

_PROBED = 8


@dataclass
class _Frozen:
    """What both heads share.

    `known` is train, `held_out` validation features; `reading` the seconds that `known` took.
    """

    filter: Filter
    settings: TrainSettings
    built: Built
    encoder: TextEncoder
    train: Scored
    val: Scored
    shown: list[int]
    known: Tensor
    held_out: Tensor
    reading: float
    selection: Selection
    facts: RunFacts
    card: ModelCard
    device: torch.device
    started: float
    history: list[EpochRecord] = field(default_factory=list)


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
    threads = pick_threads(settings.threads)
    with cpu_threads(threads):
        torch.manual_seed(settings.seed)
        run = _begin(filter, dataset, settings, threads, say)
        tracker.params(run.facts.parameters())
        for line in run.facts.notes():
            say(line)
        fit = _ridge if settings.frozen_head == "ridge" else _mlp
        model, moved = fit(run)
        model_dir = output_dir / MODEL_FOLDER
        recover(model_dir)
        digest = _save(run, model, model_dir)
        seconds = time.monotonic() - run.started
        best = run.selection.best(run.history)
        result = metadata(run.facts, run.history, best, digest, seconds, True, moved)
        write_history(output_dir, run.history)
        write_metadata(output_dir, result)
        write_config(output_dir, filter, settings)
        for record in run.history:
            tracker.metrics(flat_metrics(record), record.epoch)
        for line in [*best.lines(len(run.history)), run.selection.line(best)]:
            say(line)
        say(f"  Model saved to: {model_dir}")
    return TrainResult(model_dir, tuple(run.history), result)


def _refuse_what_is_not_there(settings: TrainSettings) -> None:
    if settings.resume is not None:
        what = "a frozen run is not resumed: what took long lies in the cache"
        raise UserError(what, where="--resume", hint="leave --resume out")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("--method frozen works in one process", where="--devices")


def _begin(
    filter: Filter, dataset: CheckedDataset, settings: TrainSettings, threads: int, say: Say
) -> _Frozen:
    started = time.monotonic()
    device = pick_device(settings.device)
    refuse_flex_on_a_cpu(settings.attention, on_gpu=device.type == "cuda")
    kind: Kind = "head" if settings.frozen_head == "ridge" else "mean"
    decided = replace(settings, pooling=pooling_of(settings, say))
    built = build(as_read(decided, kind), filter.dimensions)
    model = built.model.to(device).eval()
    encoder = TextEncoder(built.tokenizer, filter.config.text, settings.max_length)
    train, val = (
        Scored.of(filter, encoder.encode_examples(examples, settings.cache_dir), examples)
        for examples in (dataset.train, dataset.val)
    )
    base = base_sha256(model, built.base_config_sha256)

    def read(scored: Scored) -> Tensor:
        articles = scored.split.articles
        return features(model, articles, kind, encoder.pad_token_id, base, settings.cache_dir)

    began = time.monotonic()
    known = read(train)
    reading = time.monotonic() - began
    count = len(train.split)
    shown = fixed_subset(count, train_evaluated(count, settings.train_eval_articles), settings.seed)
    selection = Selection.for_kind(settings.best_by, dataset.kind)
    return _Frozen(
        filter=filter,
        settings=settings,
        built=built,
        encoder=encoder,
        train=train,
        val=val,
        shown=shown,
        known=known,
        held_out=read(val),
        reading=reading,
        selection=selection,
        facts=_facts(filter, dataset, settings, built, train, val, shown, selection, threads),
        card=card_for(filter, settings, dataset),
        device=device,
        started=started,
    )


def _facts(
    filter: Filter,
    dataset: CheckedDataset,
    settings: TrainSettings,
    built: Built,
    train: Scored,
    val: Scored,
    shown: Sequence[int],
    selection: Selection,
    threads: int,
) -> RunFacts:
    outputs, width = len(filter.dimensions), built.model.config.get_text_config().hidden_size
    layer = output_layer(built.model)
    base = sum(p.numel() for n, p in built.model.named_parameters() if not is_head(built.model, n))
    if settings.frozen_head == "ridge":
        trained = sum(p.numel() for p in layer.parameters())
        total = sum(p.numel() for p in built.model.parameters())
    else:
        trained = mlp_parameters(width, outputs)
        total = base + trained
    way = fitted(settings, len(train.split))
    steps = way.epochs * math.ceil(len(train.split) / way.batch_size)
    device = pick_device(settings.device)
    return RunFacts(
        filter=filter,
        settings=settings,
        dataset_hashes=dataset.hashes,
        labelled_by=dataset.labelled_by,
        base_config_sha256=built.base_config_sha256,
        method=frozen_as_recorded(settings.frozen_head),
        gradient_checkpointing=False,
        packed=False,
        attention=built.attention,
        by_mean=built.by_mean,
        best_by=selection.by,
        processes=1,
        num_parameters=total,
        num_trainable_parameters=trained,
        train_examples=len(train.split),
        val_examples=len(val.split),
        train_evaluated=len(shown),
        cut_share=train.split.cut_share,
        total_steps=0 if way.learning_rate is None else steps,
        warmup_steps_used=0,
        micro_batch_tokens=tokens_at_a_time(device),
        bucketed=True,
        precision="float32",
        device=device,
        threads=threads,
        own_way=way,
    )


def _ridge(run: _Frozen) -> tuple[Any, dict[str, float | int]]:
    """The head in closed form, put into the base's own regression layer."""
    layer = output_layer(run.built.model)
    began = time.monotonic()
    run.built.model.requires_grad_(False)
    layer.requires_grad_(True)
    start = StartingPoint.of(run.built.model)
    head = fit_ridge(
        run.known.numpy(),
        run.train.split.labels,
        intercept=layer.bias is not None,
        seed=run.settings.seed,
    )
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight))
        if layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(head.bias))
    seconds = time.monotonic() - began
    predictions = head(run.known.numpy())
    loss = float(np.square(predictions - run.train.split.labels).mean())
    _note(run, loss, 0.0, seconds, predictions, head(run.held_out.numpy()))
    return run.built.model, start.moved(run.built.model)


def _mlp(run: _Frozen) -> tuple[Any, dict[str, float | int]]:
    """The head that was best on validation, over the base without its own head."""
    settings = run.settings
    labels = torch.from_numpy(run.train.split.labels)
    head = MlpHead.start(run.known, labels)
    start = StartingPoint.of(head)
    kept: dict[str, Tensor] = {}
    began = time.monotonic()

    def after_epoch(loss: float, rate: float) -> bool:
        nonlocal began
        seconds = time.monotonic() - began
        head.eval()
        with torch.inference_mode():
            predictions, held_out = head(run.known).numpy(), head(run.held_out).numpy()
        _note(run, loss, rate, seconds, predictions, held_out)
        if run.history[-1].is_best:
            kept.update({name: value.clone() for name, value in head.state_dict().items()})
        patience = settings.patience or settings.head_epochs
        began = time.monotonic()
        return run.selection.waited(run.history) < patience

    fit_mlp(head, run.known, labels, settings.head_epochs, settings.seed, after_epoch)
    head.load_state_dict(kept)
    base = getattr(run.built.model, run.built.model.base_model_prefix)
    model = HeadedModel(base, head.to(run.device), run.filter.dimensions)
    return model.eval(), start.moved(head)


def _note(run: _Frozen, loss: float, rate: float, seconds: float, train: Array, val: Array) -> None:
    """One entry of the history; the first one's pass is also that of the base over the articles.

    Args:
        seconds: that fitting the head took.
    """
    first = not run.history
    seconds += run.reading if first else 0.0
    tokens = run.train.split.tokens if first else 0
    record = EpochRecord(
        epoch=len(run.history) + 1,
        running_loss=loss,
        learning_rate=rate,
        seconds=seconds,
        tokens=tokens,
        padding_waste=_waste(run.train.split.articles, run.device) if first else 0.0,
        tokens_per_second=tokens / max(seconds, 1e-9),
        model_flops_utilisation=None,
        peak_memory_bytes=peak_bytes(run.device),
        train=_metrics(run.filter, run.train.take(run.shown), train[run.shown]),
        val=_metrics(run.filter, run.val, val),
    )
    record.is_best = run.selection.is_better(record, run.history)
    run.history.append(record)


def _metrics(filter: Filter, scored: Scored, raw: Array) -> Metrics:
    values = Predictions.of(raw.astype(np.float32)).values
    overall = overall_scores(filter, values, scored.texts)
    summary = summarise(values, scored.split.labels, filter.dimensions)
    return summary | needle_metrics(filter, overall, scored.overall)


def _waste(articles: Sequence[Encoded], device: torch.device) -> float:
    lengths = [len(article) for article in articles]
    pieces = micro_batches(range(len(lengths)), lengths, tokens_at_a_time(device))
    return padding_waste(pieces, lengths)


def _save(run: _Frozen, model: Any, model_dir: Path) -> str:
    probe = run.val.split.articles[:_PROBED]
    expected = forward(model, probe, run.encoder.pad_token_id)
    return save_model(
        model_dir, model, run.encoder.tokenizer, run.card, _reload(run, probe, expected)
    )


def _reload(run: _Frozen, probe: Sequence[Encoded], expected: Array) -> Callable[[Path], None]:
    def check(folder: Path) -> None:
        loaded = load_model(folder, "cpu" if run.device.type == "cpu" else "cuda").model
        off = float(np.abs(forward(loaded, probe, run.encoder.pad_token_id) - expected).max())
        if not off <= RELOAD_TOLERANCE:
            raise CheckFailed(f"the saved model predicts differently when loaded, by {off:.2g}")

    return check
