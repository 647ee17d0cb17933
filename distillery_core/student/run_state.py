"""Checkpoints that training resumes from: written whole or not at all, read back only if they fit.

A checkpoint is a folder `epoch_2` or `step_150` with `state.json` (settings, hashes, position,
history, random states of Python and numpy, schedule), `weights.safetensors` (what is trained),
`optimizer.safetensors`, `random.safetensors` (torch's random states of every process) and `best/`,
the best model so far, linked and not copied where the disk can. Nothing in it is a pickle.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from distillery_core.errors import CheckFailed, UserError
from distillery_core.files import sha256_file, write_json
from distillery_core.student.checkpoint_tensors import (
    FILES,
    RANDOM,
    Tensors,
    put_back,
    write_tensors,
)
from distillery_core.student.record import EpochRecord

STATE = "state.json"
BEST = "best"
NEWEST = "newest"
FINISHED = "finished"
"""An empty file in a checkpoint whose run has ended and needs it no more."""
_NAME = re.compile(r"(epoch|step)_(\d+)")


@dataclass
class Position:
    """Where in its run training stands, and the sums of the epoch under way.

    `batch` counts the optimizer steps done in `epoch`; `step` those of the whole run. The sums are
    of the epoch so far: squared errors, tokens computed (padding counted) and seconds; `seconds`
    is wall time of the whole run.
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    squared_error: float = 0.0
    computed_tokens: int = 0
    epoch_seconds: float = 0.0
    seconds: float = 0.0


@dataclass
class RunState:
    """Everything of a checkpoint but the tensors.

    Attributes:
        run: names the run, so that one that is begun anew does not mix with what an earlier left.
        identity: what must be the same in the run that resumes: settings, hashes, counts.
        history: the epochs that are done.
        model_sha256: of the best model so far; empty before the first epoch's end.
        scheduler: the schedule's own state.
        rates: learning rate of each parameter group.
        at_a_time: tokens and articles computed at a time, and whether they may be padded; found or
            decided when the run began.
        python_random, numpy_random: states of the two generators.
        files: name -> SHA-256 of the tensor files.
    """

    run: str
    identity: dict[str, Any]
    position: Position
    history: list[EpochRecord]
    model_sha256: str
    scheduler: dict[str, Any]
    rates: list[float]
    at_a_time: tuple[int, int, bool]
    python_random: list[Any] = field(default_factory=list)
    numpy_random: list[Any] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`epoch_2` at the end of an epoch, else `step_150`."""
        at_end = self.position.batch == 0
        return f"epoch_{self.position.epoch - 1}" if at_end else f"step_{self.position.step}"


_FORMAT = TypeAdapter(RunState)


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
    """Write a checkpoint; older ones beyond `keep` go once it stands there whole.

    Args:
        random_states: torch's, of every process.

    Raises:
        UserError: it cannot be written (full disk); the older ones are untouched.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder, prefix=".", suffix=".tmp"))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        write_tensors(fresh, tensors, random_states)
        if best_model is not None and best_model.is_dir():
            _link_tree(best_model, fresh / BEST)
        state.python_random = _listed(random.getstate())
        state.numpy_random = _listed(np.random.get_state())
        state.files = {n: sha256_file(fresh / n) for n in FILES}
        write_json(fresh / STATE, asdict(state))
        fresh.chmod(0o755)
        target = folder / state.name
        shutil.rmtree(target, ignore_errors=True)  # of an earlier run: this run has passed it
        fresh.rename(target)
    except (OSError, SafetensorError) as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    _prune(folder, state.run, keep)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the newest last, after it those that cannot be read."""
    if not folder.is_dir():
        return []
    found = [p for p in folder.iterdir() if _NAME.fullmatch(p.name) and (p / STATE).is_file()]
    return sorted(found, key=_order_of)


def mark_finished(folder: Path, run: str) -> None:
    """Note in its checkpoints that a run has ended; a full disk is no matter here."""
    for path in _of_run(folder, run):
        with suppress(OSError):
            (path / FINISHED).touch()


def unfinished(folder: Path) -> Path | None:
    """The newest checkpoint of a run that was interrupted; None where there is none that can be
    read."""
    found = [path for path in checkpoints(folder) if not (path / FINISHED).exists()]
    return next((path for path in reversed(found) if _glance(path) is not None), None)


def _prune(folder: Path, run: str, keep: int) -> None:
    """Leave the newest `keep` checkpoints of this run, and none of an earlier one."""
    for path in set(checkpoints(folder)) - set(_of_run(folder, run)[-keep:]):
        shutil.rmtree(path, ignore_errors=True)


def _of_run(folder: Path, run: str) -> list[Path]:
    states = [(path, _glance(path)) for path in checkpoints(folder)]
    return [path for path, state in states if state is not None and state.run == run]


def find_checkpoint(resume: str, folder: Path | None) -> Path:
    """The checkpoint that `--resume` names: a path, or the newest.

    Raises:
        UserError: there is none.
    """
    if resume != NEWEST:
        path = Path(resume)
        if (path / STATE).is_file():
            return path
        inside = checkpoints(path)
        if inside:
            return inside[-1]
        raise UserError("no checkpoint stands there", where=path, hint=_listing(path))
    found = checkpoints(folder) if folder is not None else []
    if not found:
        raise UserError(
            "there is no checkpoint to resume from",
            where=folder,
            hint="leave --resume out to begin anew",
        )
    return found[-1]


def read_state(path: Path) -> RunState:
    """The state in a checkpoint, its tensor files checked against their hashes.

    Raises:
        UserError: it is damaged.
    """
    try:
        state = _read(path)
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


def _link_tree(source: Path, target: Path) -> None:
    """A model folder is replaced whole and never written into, so that links are as good."""

    def link(old: str, new: str) -> None:
        try:
            os.link(old, new)
        except OSError:  # another file system, or one without links
            shutil.copy2(old, new)

    shutil.copytree(source, target, copy_function=link)


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


def _order_of(path: Path) -> tuple[bool, int, int]:
    """Epoch and batch, by which checkpoints of one run follow each other. One that cannot be read
    comes after them, so that --resume names it and does not pass over it."""
    state = _glance(path)
    return (True, 0, 0) if state is None else (False, state.position.epoch, state.position.batch)


def _glance(path: Path) -> RunState | None:
    """A checkpoint's state as it stands there; None where it cannot be read."""
    try:
        return _read(path)
    except (OSError, ValueError):
        return None


def _read(path: Path) -> RunState:
    """A checkpoint's state.

    Raises:
        OSError, ValueError: it is not there, or not of this shape.
    """
    state = _FORMAT.validate_python(json.loads((path / STATE).read_text(encoding="utf-8")))
    if not isinstance(state.identity.get("settings"), dict):
        raise ValueError("identity: it has no settings")
    return state


def _listing(missed: Path) -> str:
    """The checkpoints beside one that is not to be had."""
    beside = [path for path in checkpoints(missed.parent) if path.name != missed.name]
    found = ", ".join(path.name for path in beside)
    return f"there are: {found}" if found else "leave --resume out to begin anew"


def damaged_checkpoint(path: Path, why: Exception | str) -> UserError:
    """The checkpoint is not as it was written; the hint names the others."""
    if isinstance(why, ValidationError):
        first = why.errors()[0]
        why = f"{STATE}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return UserError(f"the checkpoint is damaged: {why}", where=path, hint=_listing(path))


def _unwritable(folder: Path, error: OSError | SafetensorError) -> UserError:
    why = getattr(error, "strerror", None) or error
    found = checkpoints(folder)
    last = f"{found[-1].name} is still there" if found else "there is none yet"
    return UserError(f"the checkpoint cannot be written: {why}; {last}", where=folder)
