"""Fits the head of a frozen run: ridge in closed form, or an MLP in steps."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distillery_core.student.frozen.reading import FrozenRun
from distillery_core.student.frozen.record import Course
from distillery_core.student.head_init import put
from distillery_core.student.headed import HeadedModel
from distillery_core.student.heads import MlpHead, fit_mlp, fit_ridge
from distillery_core.student.model_factory import output_layer
from distillery_core.student.optimisation import StartingPoint

Fit = tuple[Any, dict[str, float | int]]
"""The model with its head, and how far what was fitted moved."""


def fit_head(run: FrozenRun, course: Course) -> Fit:
    """Fit the head that is asked for on the training features, and note each epoch."""
    return _ridge(run, course) if run.settings.frozen_head == "ridge" else _mlp(run, course)


def _ridge(run: FrozenRun, course: Course) -> Fit:
    """The head in closed form, put into the base's own regression layer."""
    model, labels = run.base.model, run.train.scored.split.labels
    known, held_out = (split.features.rows.numpy() for split in (run.train, run.val))
    layer = output_layer(model)
    began = time.monotonic()
    model.requires_grad_(False)
    layer.requires_grad_(True)
    start = StartingPoint.of(model)
    head = fit_ridge(known, labels, intercept=layer.bias is not None, seed=run.settings.seed)
    put(layer, head)
    seconds = time.monotonic() - began
    predictions = head(known)
    loss = float(np.square(predictions - labels).mean())
    course.note(loss, 0.0, seconds, predictions, head(held_out))
    return model, start.moved(model)


def _mlp(run: FrozenRun, course: Course) -> Fit:
    """The head that was best on validation, over the base without its own head."""
    settings, base = run.settings, run.base
    known, held_out = run.train.features.rows, run.val.features.rows
    labels = torch.from_numpy(run.train.scored.split.labels)
    head = MlpHead.start(known, labels)
    start = StartingPoint.of(head)
    kept: dict[str, Tensor] = {}
    began = time.monotonic()

    def after_epoch(loss: float, rate: float) -> bool:
        nonlocal began
        seconds = time.monotonic() - began
        head.eval()
        with torch.inference_mode():
            course.note(loss, rate, seconds, head(known).numpy(), head(held_out).numpy())
        if course.history[-1].is_best:
            kept.update({name: value.clone() for name, value in head.state_dict().items()})
        patience = settings.patience or settings.head_epochs
        began = time.monotonic()
        return run.selection.waited(course.history) < patience

    fit_mlp(head, known, labels, settings.head_epochs, settings.seed, after_epoch)
    head.load_state_dict(kept)
    body = getattr(base.model, base.model.base_model_prefix)
    model = HeadedModel(body, head.to(base.device), run.filter.dimensions)
    return model.eval(), start.moved(head)
