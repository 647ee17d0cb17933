"""Results that cannot be what they claim to be: frozen weights, another checkpoint, copied files.

Each check has its story in a project of this kind: a resumed LoRA run whose adapter was frozen, a
checkpoint folder that had gone stale, version 2's results a byte copy of version 1's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery_core.agents.evaluation_evidence import Tripwires
from distillery_core.dataset.manifest import Manifest
from distillery_core.dataset.rows import Example
from distillery_core.errors import UserError
from distillery_core.files import sha256_file
from distillery_core.student.settings import was_frozen
from distillery_core.verdicts.front_matter import read_report

CHECKPOINT_TOLERANCE = 0.02
"""How far a saved model's validation MAE may be from what its history says: other hardware and
precision move it by thousandths."""

MOVED_SHARE = 0.5
"""Least share of the trained tensors whose values must have changed. Some may rightly stand still
(an embedding of a token that no article has), half of them cannot."""


@dataclass(frozen=True)
class OtherVersion:
    """Another version of the filter: its folder, where report and training record lie."""

    name: str
    folder: Path


def find_tripwires(
    metadata: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    *,
    head_parameters: int | None = None,
    val_mae: float | None = None,
    manifest: Manifest | None = None,
    val: Sequence[Example] = (),
    test: Sequence[Example] = (),
    copied: Sequence[str] = (),
) -> Tripwires:
    """All checks that what is at hand allows.

    Args:
        metadata, history: training_metadata.json and training_history.json.
        head_parameters: parameters of the regression head alone.
        val_mae: of the saved model, measured now, before score calibration.
        copied: findings of `copied_results`.
    """
    fired = [
        *_frozen(metadata, head_parameters),
        *_other_checkpoint(metadata, history, val_mae),
        *_same_split(val, test),
        *_mixed(manifest),
        *copied,
    ]
    unknown = (
        []
        if isinstance(metadata.get("weights_moved"), Mapping)
        else ["the record does not say if weights moved"]
    )
    if val_mae is None:
        unknown.append("the saved model was not loaded")
    return Tripwires(tuple(fired), tuple(unknown))


def _frozen(metadata: Mapping[str, Any], head: int | None) -> Iterator[str]:
    """A base or an adapter that did not learn, where the method says it does."""
    settings, moved = metadata.get("settings"), metadata.get("weights_moved")
    asked = settings.get("method") if isinstance(settings, Mapping) else None
    method = metadata.get("method") or asked or "full"
    if isinstance(moved, Mapping):
        tensors, changed = moved.get("tensors"), moved.get("tensors_moved")
        if not isinstance(tensors, int) or not isinstance(changed, int):
            yield f"the record's weights_moved is not understood: {moved!r:.60}"
        elif changed < MOVED_SHARE * tensors or not changed:
            yield f"{changed} of {tensors} trained tensors have moved since the start"
    if was_frozen(str(method)):
        return
    trained, every = metadata.get("num_trainable_parameters"), metadata.get("num_parameters")
    if isinstance(trained, int) and isinstance(every, int):
        if head is not None and trained <= head < every:
            yield f"only the head was trained ({trained} of {every} parameters), under {method}"
        elif method == "full" and trained < every:
            yield f"{trained} of {every} parameters were trained, under full fine-tuning"


def _other_checkpoint(
    metadata: Mapping[str, Any], history: Sequence[Mapping[str, Any]], val_mae: float | None
) -> Iterator[str]:
    """A history whose best epoch is not the one that was saved."""
    saved, curve = metadata.get("best_epoch"), [float(epoch["val"]["mae"]) for epoch in history]
    if saved is None:
        yield from _best_not_in(metadata, curve)
        return
    if not isinstance(saved, int) or not 1 <= saved <= len(curve):
        yield f"the record's best epoch is {saved}, the history has {len(curve)} epochs"
        return
    by = metadata.get("best_by") or "mae"
    best = curve.index(min(curve)) + 1
    if by == "mae" and curve[saved - 1] > curve[best - 1]:
        yield f"epoch {saved} was saved, the history's best is epoch {best}"
    recorded = metadata.get("best_val_mae")
    if isinstance(recorded, float) and abs(recorded - curve[saved - 1]) > CHECKPOINT_TOLERANCE:
        yield f"the record's validation MAE is {recorded:.3f}, the history's {curve[saved - 1]:.3f}"
    if val_mae is not None and abs(val_mae - curve[saved - 1]) > CHECKPOINT_TOLERANCE:
        yield (
            f"the saved model has a validation MAE of {val_mae:.3f}, "
            f"epoch {saved} of the history {curve[saved - 1]:.3f}"
        )


def _best_not_in(metadata: Mapping[str, Any], curve: Sequence[float]) -> Iterator[str]:
    """Of a record that names no epoch: the best MAE that it claims."""
    claimed = metadata.get("best_val_mae")
    if isinstance(claimed, float) and abs(claimed - min(curve)) > CHECKPOINT_TOLERANCE:
        yield f"the record's best validation MAE is {claimed:.3f}, the history's {min(curve):.3f}"


def _same_split(val: Sequence[Example], test: Sequence[Example]) -> Iterator[str]:
    """A test set that is the validation set, on which the checkpoint was chosen."""
    known = {one.content for one in val}
    again = sum(one.content in known for one in test)
    if test and again > len(test) / 2:
        yield f"{again} of {len(test)} test articles are validation articles"


def _mixed(manifest: Manifest | None) -> Iterator[str]:
    """Labels of several oracles or prompts that nobody said were meant."""
    if manifest is None or manifest.mixture_declared:
        return
    givers = {(label.oracle, label.prompt_sha256) for label in manifest.labels}
    if len(givers) > 1:
        names = ", ".join(sorted({oracle or "unknown" for oracle, _ in givers}))
        yield f"the labels come from {len(givers)} oracles or prompts ({names})"


def copied_results(
    history: Path,
    model_sha256: str | None,
    predictions_sha256: str | None,
    others: Sequence[OtherVersion],
) -> list[str]:
    """What is byte for byte that of another version: history, model or test predictions."""
    found = []
    for other in others:
        same = [
            *_same_history(history, other.folder / history.name),
            *_same_hashes(other.folder, model_sha256, predictions_sha256),
        ]
        found += [f"{what} is that of {other.name}" for what in same]
    return found


def _same_history(history: Path, other: Path) -> Iterator[str]:
    if history.is_file() and other.is_file() and sha256_file(history) == sha256_file(other):
        yield "the training history"


def _same_hashes(folder: Path, model: str | None, predictions: str | None) -> Iterator[str]:
    """By what the other version's training record and report say."""
    if model is not None and model == _recorded_model(folder):
        yield "the model"
    try:
        numbers = read_report(folder / "model_evaluation.md").front.numbers
    except UserError:
        return
    if predictions is not None and numbers.get("predictions_sha256") == predictions:
        yield "every test prediction"


def _recorded_model(folder: Path) -> str | None:
    try:
        record = json.loads((folder / "training_metadata.json").read_text(encoding="utf-8"))
        return str(record["hashes"]["model_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
