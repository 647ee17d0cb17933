"""Saves the model of a run, and believes it only when it is read back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distillery_core.errors import CheckFailed
from distillery_core.student.computing.sharding import full_state
from distillery_core.student.data import Encoded
from distillery_core.student.lora import has_adapters, merged_state, plain_shell, save_adapter
from distillery_core.student.measures.metrics import Array
from distillery_core.student.model_folder import save_model
from distillery_core.student.predict import forward, load_model
from distillery_core.student.run import Run
from distillery_core.student.settings import Device
from distillery_core.student.tolerances import RELOAD_TOLERANCE, ROUNDED_TOLERANCE

RELOAD_ARTICLES = 8


def save_checked(run: Run) -> str:
    """Save the model as a folder that plain transformers loads; adapters are merged into it.

    What is read back from disk must predict what the model in memory does.

    Returns:
        The folder's `model_sha256`; empty on every process but the first.
    """
    probe = run.val.split.articles[:RELOAD_ARTICLES]
    expected = forward(run.plain, probe, run.encoder.pad_token_id)
    state = full_state(run.plain) if run.settings.fsdp else None
    if not run.is_main:
        run.accelerator.wait_for_everyone()
        return ""
    check = Reload(run.plain, run.device, probe, run.encoder.pad_token_id, expected)
    if has_adapters(run.plain):
        digest = save_model(
            run.model_dir,
            plain_shell(run.plain),
            run.encoder.tokenizer,
            run.card,
            check,
            state=merged_state(run.plain, state),
            beside=lambda folder: save_adapter(run.plain, folder, state),
        )
    else:
        digest = save_model(
            run.model_dir, run.plain, run.encoder.tokenizer, run.card, check, state=state
        )
    run.accelerator.wait_for_everyone()
    return digest


class Reload:
    """Loads a folder and compares its predictions with those of the model in memory.

    Args:
        expected: predictions of `model` for the articles of `probe`.
    """

    def __init__(
        self,
        model: Any,
        device: torch.device,
        probe: Sequence[Encoded],
        pad_token_id: int,
        expected: Array,
    ) -> None:
        self._on: Device = "cpu" if device.type == "cpu" else "cuda"
        self._probe, self._pad, self._expected = probe, pad_token_id, expected
        self._allowed = RELOAD_TOLERANCE if model.dtype.itemsize == 4 else ROUNDED_TOLERANCE

    def __call__(self, folder: Path) -> None:
        """Raise CheckFailed where they differ."""
        found = forward(load_model(folder, self._on).model, self._probe, self._pad)
        off = float(np.abs(found - self._expected).max())
        if not off <= self._allowed:
            raise CheckFailed(f"the saved model predicts differently when loaded, by {off:.2g}")
