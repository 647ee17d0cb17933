"""What is written down of a frozen run: its facts, and its history epoch by epoch."""

from __future__ import annotations

import math

from distillery_core.student.computing.batches import micro_batches, padding_waste
from distillery_core.student.computing.memory import peak_bytes
from distillery_core.student.evaluating import metrics_of
from distillery_core.student.features import tokens_at_a_time
from distillery_core.student.frozen.reading import FrozenRun
from distillery_core.student.frozen.settings import fitted
from distillery_core.student.heads import mlp_parameters
from distillery_core.student.measures.metrics import Array
from distillery_core.student.model_factory import output_layer
from distillery_core.student.record import EpochRecord, RunFacts
from distillery_core.student.settings import frozen_as_recorded


class Course:
    """The history of a run, an entry for every epoch of its head; ridge has one."""

    def __init__(self, run: FrozenRun) -> None:
        self._run = run
        self.history: list[EpochRecord] = []

    def note(self, loss: float, rate: float, seconds: float, train: Array, val: Array) -> None:
        """Measure an epoch; to the first one belongs what the base had to read.

        Args:
            seconds: that fitting the head took.
            train, val: predictions for all articles of the splits, [articles, dimensions].
        """
        run = self._run
        reads = not self.history and not run.train.features.from_cache
        seconds += 0.0 if self.history else run.train.features.seconds
        tokens = run.train.scored.split.tokens if reads else 0
        shown = list(run.shown)
        record = EpochRecord(
            epoch=len(self.history) + 1,
            running_loss=loss,
            learning_rate=rate,
            seconds=seconds,
            tokens=tokens,
            padding_waste=_waste(run) if reads else 0.0,
            tokens_per_second=tokens / max(seconds, 1e-9) if reads else None,
            model_flops_utilisation=None,
            peak_memory_bytes=peak_bytes(run.base.device),
            train=metrics_of(run.filter, run.train.scored.take(shown), train[shown]),
            val=metrics_of(run.filter, run.val.scored, val),
        )
        record.is_best = run.selection.is_better(record, self.history)
        self.history.append(record)


def _waste(run: FrozenRun) -> float:
    lengths = [len(article) for article in run.train.scored.split.articles]
    pieces = micro_batches(range(len(lengths)), lengths, tokens_at_a_time(run.base.device))
    return padding_waste(pieces, lengths)


def facts_of(run: FrozenRun) -> RunFacts:
    """What is known before the head is fitted."""
    settings, base, split = run.settings, run.base, run.train.scored.split
    total, trained = _sizes(run)
    way = fitted(settings, len(split))
    steps = way.epochs * math.ceil(len(split) / way.batch_size)
    return RunFacts(
        filter=run.filter,
        settings=settings,
        dataset_hashes=run.dataset.hashes,
        labelled_by=run.dataset.labelled_by,
        base_config_sha256=base.built.base_config_sha256,
        method=frozen_as_recorded(settings.frozen_head),
        gradient_checkpointing=False,
        packed=False,
        attention=base.built.attention,
        by_mean=base.kind == "mean" or base.built.by_mean,
        best_by=run.selection.by,
        processes=1,
        num_parameters=total,
        num_trainable_parameters=trained,
        train_examples=len(split),
        val_examples=len(run.val.scored.split),
        train_evaluated=len(run.shown),
        cut_share=split.cut_share,
        total_steps=0 if way.learning_rate is None else steps,
        warmup_steps_used=0,
        micro_batch_tokens=tokens_at_a_time(base.device),
        bucketed=True,
        precision="float32",
        device=base.device,
        threads=run.threads,
        own_way=way,
    )


def _sizes(run: FrozenRun) -> tuple[int, int]:
    """Parameters of base and head together, and of the head that is fitted."""
    model = run.base.model
    if run.settings.frozen_head == "ridge":
        layer = output_layer(model)
        every, trained = model.parameters(), layer.parameters()
        return sum(p.numel() for p in every), sum(p.numel() for p in trained)
    below = sum(p.numel() for p in getattr(model, model.base_model_prefix).parameters())
    width = model.config.get_text_config().hidden_size
    head = mlp_parameters(width, len(run.filter.dimensions))
    return below + head, head
