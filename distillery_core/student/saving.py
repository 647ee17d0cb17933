"""Saves the model of a run, and believes it only when it is read back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distillery_core.errors import CheckFailed
from distillery_core.student.checkpoint import save_model
from distillery_core.student.data import Encoded
from distillery_core.student.lora import has_adapters, merged_state, plain_shell, save_adapter
from distillery_core.student.metrics import Array
from distillery_core.student.predict import forward, load_model
from distillery_core.student.run import Run
from distillery_core.student.settings import Device
from distillery_core.student.sharding import full_state
from distillery_core.student.tolerances import RELOAD_TOLERANCE, ROUNDED_TOLERANCE

_RELOAD_ARTICLES = 8


def save_checked(run: Run) -> str:
    """Save the model as a folder that plain transformers loads; adapters are merged into it.

    What is read back from disk must predict what the model in memory does.

    Returns:
        The folder's `model_sha256`; empty on every process but the first.
    """
    probe = run.val.split.articles[:_RELOAD_ARTICLES]
    expected = forward(run.plain, probe, run.encoder.pad_token_id)
    state = full_state(run.plain) if run.settings.fsdp else None
    if not run.is_main:
        run.accelerator.wait_for_everyone()
        return ""
    check = _Reload(run, probe, expected)
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


class _Reload:
    """Loads a folder and compares its predictions with those of the model in memory."""

    def __init__(self, run: Run, probe: Sequence[Encoded], expected: Array) -> None:
        self._run, self._probe, self._expected = run, probe, expected

    def __call__(self, folder: Path) -> None:
        device: Device = "cpu" if self._run.device.type == "cpu" else "cuda"
        model: Any = load_model(folder, device).model
        found = forward(model, self._probe, self._run.encoder.pad_token_id)
        off = float(np.abs(found - self._expected).max())
        exact = self._run.plain.dtype.itemsize == 4
        if not off <= (RELOAD_TOLERANCE if exact else ROUNDED_TOLERANCE):
            raise CheckFailed(f"the saved model predicts differently when loaded, by {off:.2g}")
