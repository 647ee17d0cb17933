"""A checkpoint that training resumes from: written whole or not at all, read only if it fits.

It is a folder `epoch_2` or `step_150` with `state.json` (settings, hashes, position, history,
random states of Python and numpy, schedule) and its hash `state.sha256`, `weights.safetensors`
(what is trained), `optimizer.safetensors`, `random.safetensors` (torch's random states of every
process) and `best/`, the best model so far, linked and not copied where the disk can. Nothing in
it is a pickle.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from distillery_core.errors import CheckFailed, UserError
from distillery_core.files import sha256_file
from distillery_core.student.checkpoints.folder import (
    checkpoints,
    damaged_checkpoint,
    next_number,
    prune,
)
from distillery_core.student.checkpoints.state import RunState, store_state, stored_state
from distillery_core.student.checkpoints.tensors import (
    FILES,
    RANDOM,
    Tensors,
    put_back,
    write_tensors,
)
from distillery_core.student.whole_folder import (
    copy_files,
    fresh_folder,
    make_readable,
    put_in_place,
)

BEST = "best"


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Torch's random state of this process."""
    found = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def write_checkpoint(
    folder: Path,
    state: RunState,
    tensors: Tensors,
    random_states: Sequence[dict[str, Tensor]],
    best_model: Path | None,
    keep: int,
) -> Path:
    """Write a checkpoint; once it stands there whole, `prune` takes others away.

    Args:
        random_states: torch's, of every process.

    Raises:
        UserError: it cannot be written (full disk); the older ones are untouched.
    """
    target = folder / state.name
    try:
        with fresh_folder(target) as fresh:
            write_tensors(fresh, tensors, random_states)
            make_readable(fresh)  # before the model's own files are linked, whose modes are its own
            if best_model is not None and best_model.is_dir():
                copy_files(best_model, fresh / BEST, _link_or_copy)
            state.python_random = _listed(random.getstate())
            state.numpy_random = _listed(np.random.get_state())
            state.files = {n: sha256_file(fresh / n) for n in FILES}
            state.number = next_number(folder)
            store_state(fresh, state)
            put_in_place(fresh, target)
    except (OSError, SafetensorError) as error:
        raise _unwritable(folder, error) from error
    prune(target, state.run, keep)
    return target


def read_state(path: Path) -> RunState:
    """The state in a checkpoint, its tensor files checked against their hashes.

    Raises:
        UserError: it is damaged.
    """
    try:
        state = stored_state(path)
        damaged = [name for name in FILES if sha256_file(path / name) != state.files.get(name)]
    except (OSError, ValueError) as error:
        raise damaged_checkpoint(path, error) from error
    if damaged:
        raise damaged_checkpoint(path, f"{', '.join(damaged)} changed since it was written")
    return state


def refuse_other_run(path: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Compare what a checkpoint was made with, and what this run would be.

    Raises:
        CheckFailed: they differ, with each difference.
    """
    reasons = list(_differences(then, now))
    if reasons:
        raise CheckFailed(
            f"{path} is of another run and is not resumed",
            reasons=reasons,
            hint="give the settings it was begun with, or leave --resume out to begin anew",
        )


def restore(path: Path, state: RunState, model: Any, optimizer: Any, names: Sequence[str]) -> None:
    """Put weights and optimizer back as they were.

    Raises:
        UserError: the files do not hold what this run trains.
    """
    try:
        put_back(path, model, optimizer, names, state.rates)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise damaged_checkpoint(path, error) from error


def restore_random(path: Path, state: RunState, rank: int, device: torch.device) -> None:
    """Put the random generators of this process back as they were.

    Raises:
        UserError: the checkpoint does not hold their states.
    """
    try:
        _restore_random(path, state, rank, device)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise damaged_checkpoint(path, error) from error


def _restore_random(path: Path, state: RunState, rank: int, device: torch.device) -> None:
    version, internal, gauss = state.python_random
    random.setstate((version, tuple(internal), gauss))
    kind, keys, at, has_gauss, cached = state.numpy_random
    np.random.set_state((kind, np.asarray(keys, dtype=np.uint32), at, has_gauss, cached))
    stored = load_file(path / RANDOM)
    torch.set_rng_state(stored[f"{rank}.cpu"])
    if device.type == "cuda" and f"{rank}.cuda" in stored:
        torch.cuda.set_rng_state(stored[f"{rank}.cuda"], device)


def _link_or_copy(old: Path, new: Path) -> None:
    """A model folder is replaced whole and never written into, so that links are as good."""
    try:
        os.link(old, new)
    except OSError:  # another file system, or one without links
        shutil.copyfile(old, new)


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    found = []
    for key in sorted({*then, *now}):
        old, new = then.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new)
        elif old != new:
            found.append(f"{key} was {_short(old)} and is {_short(new)} now")
    return found


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if re.fullmatch(r"[0-9a-f]{64}", text) else text


def _listed(value: Any) -> list[Any]:
    """A generator's state as JSON can hold it."""
    return [
        entry.tolist()
        if isinstance(entry, np.ndarray)
        else list(entry)
        if isinstance(entry, tuple)
        else entry
        for entry in value
    ]


def _unwritable(folder: Path, error: OSError | SafetensorError) -> UserError:
    why = getattr(error, "strerror", None) or error
    found = checkpoints(folder)
    last = f"{found[-1].name} is still there" if found else "there is none yet"
    what, hint = f"the checkpoint cannot be written: {why}; {last}", "free some space"
    return UserError(what, where=folder, hint=hint)
