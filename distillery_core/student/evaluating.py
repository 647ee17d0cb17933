"""How well the student does at the end of an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distillery_core.errors import CheckFailed
from distillery_core.filters.filter import Filter
from distillery_core.student.computing.memory import memory_named, too_much_to_read
from distillery_core.student.computing.sharing import everywhere
from distillery_core.student.data import Encoded
from distillery_core.student.measures.finding import needle_metrics, overall_scores
from distillery_core.student.measures.metrics import Array, summarise
from distillery_core.student.predict import Predictions, forward, tokens_at_a_time
from distillery_core.student.record import Metrics
from distillery_core.student.run import Run, Scored


def evaluate(run: Run, scored: Scored) -> Metrics:
    """Metrics in evaluation mode, clipped to 0-10: what the scorer would give."""
    articles = scored.split.articles
    pad_token_id = run.encoder.pad_token_id
    usual, asked = tokens_at_a_time(run.device), run.settings.micro_batch_tokens
    tokens = usual if asked is None else min(usual, asked)

    def compute(rows: Sequence[int]) -> Array:
        taken = [articles[row] for row in rows]
        step = run.position.step
        with memory_named(lambda: too_much_to_read(step, taken, tokens, "evaluation")):
            return forward(run.plain, taken, pad_token_id, tokens)

    if run.settings.fsdp:  # every process takes part in every piece
        raw = compute(range(len(articles)))
    else:
        lengths = [len(article) for article in articles]
        raw = everywhere(run.accelerator, lengths, scored.split.labels.shape[1], compute)
    _refuse_bad_predictions(raw, articles)
    return metrics_of(run.filter, scored, raw)


def metrics_of(filter: Filter, scored: Scored, raw: Array) -> Metrics:
    """Of a model's raw outputs [articles, dimensions], clipped to 0-10."""
    values = Predictions.of(raw.astype(np.float32, copy=False)).values
    overall = overall_scores(filter, values, scored.texts)
    summary = summarise(values, scored.split.labels, filter.dimensions)
    return summary | needle_metrics(filter, overall, scored.overall)


def _refuse_bad_predictions(raw: Array, articles: Sequence[Encoded]) -> None:
    bad = [a.id for a, row in zip(articles, raw, strict=True) if not np.isfinite(row).all()]
    if bad:
        raise CheckFailed(
            "training stopped: the model's predictions are not finite",
            reasons=[f"articles {', '.join(bad[:20])}"],
            hint="lower --learning-rate",
        )
