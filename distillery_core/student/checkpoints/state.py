"""What a checkpoint holds of a run, its tensors apart."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from distillery_core.files import sha256_file, write_json, write_text
from distillery_core.student.checkpoints.files import SEAL, STATE
from distillery_core.student.peak import Peak
from distillery_core.student.record import EpochRecord


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
        peak: what utilisation is a share of; None where unknown, as in checkpoints of before.
        python_random, numpy_random: states of the two generators.
        files: name -> SHA-256 of the tensor files.
        number: grows with every checkpoint that is written into a folder; 0 in those of before they
            were counted.
    """

    run: str
    identity: dict[str, Any]
    position: Position
    history: list[EpochRecord]
    model_sha256: str
    scheduler: dict[str, Any]
    rates: list[float]
    at_a_time: tuple[int, int, bool]
    peak: Peak | None = None
    python_random: list[Any] = field(default_factory=list)
    numpy_random: list[Any] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    number: int = 0

    @property
    def name(self) -> str:
        """`epoch_2` at the end of an epoch, else `step_150`."""
        at_end = self.position.batch == 0
        return f"epoch_{self.position.epoch - 1}" if at_end else f"step_{self.position.step}"


_FORMAT = TypeAdapter(RunState)


def store_state(folder: Path, state: RunState) -> None:
    """Write a state, and its hash beside it: a number that was changed would be resumed from."""
    write_json(folder / STATE, asdict(state))
    write_text(folder / SEAL, sha256_file(folder / STATE) + "\n")


def stored_state(folder: Path) -> RunState:
    """The state in a checkpoint's folder.

    Raises:
        OSError, ValueError: it is not there, or not as it was written.
    """
    path = folder / STATE
    if not (folder / SEAL).is_file():
        raise ValueError(f"it has no {SEAL}, as those of earlier versions, and cannot be checked")
    if (folder / SEAL).read_text(encoding="utf-8").strip() != sha256_file(path):
        raise ValueError(f"{STATE} changed since it was written")
    return _FORMAT.validate_python(json.loads(path.read_text(encoding="utf-8")))
