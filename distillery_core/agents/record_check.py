"""Does the training record fit the model file, the dataset and the filter as they are now?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from distillery_core.agents.evaluation_evidence import RecordCheck, RecordGrade
from distillery_core.reports.formatting import compact
from distillery_core.student.model_card import HEAD

SIZE_TOLERANCE = 0.3
"""A name's size is rounded (Qwen2.5-0.5B has 494M, -7B 7.6B parameters), but not by a third."""

_COUNT_TOLERANCE = 0.01  # files may also hold buffers, which are no parameters
_SIZE = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)\s?([BbMm])(?![A-Za-z0-9])")
_UNITS = {"b": 1e9, "m": 1e6}
_HEADER_LIMIT = 100 << 20


def claimed_parameters(model_name: str) -> float | None:
    """The size in a model's name: 7e9 for `Qwen/Qwen2.5-7B`; None where it names none."""
    sizes = _SIZE.findall(model_name.rsplit("/", 1)[-1])
    if not sizes:
        return None
    number, unit = sizes[-1]
    return float(number) * _UNITS[unit.lower()]


def stored_parameters(model_dir: Path) -> int | None:
    """Numbers in a model folder's weight files, from their headers; None if it holds an adapter.

    A head of ours beside the base counts as well.

    Raises:
        ValueError: a file is no safetensors file.
    """
    files = sorted(model_dir.glob("model*.safetensors"))
    return sum(map(_numbers_in, [*files, *model_dir.glob(HEAD)])) if files else None


def _numbers_in(path: Path) -> int:
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if length > _HEADER_LIMIT:
            raise ValueError(f"{path.name} is no safetensors file")
        header = json.loads(handle.read(length))
    total = 0
    for name, tensor in header.items():
        if name != "__metadata__":
            size = 1
            for side in tensor["shape"]:
                size *= side
            total += size
    return total


def head_parameters(model: Any) -> int | None:
    """Parameters of a model's regression head alone; None where it cannot be told apart."""
    named = [(name, one.numel()) for name, one in model.named_parameters()]
    found = [size for name, size in named if re.match(r"(.*\.)?(score|classifier)\.", name)]
    return sum(found) or None


def check_record(
    metadata: Mapping[str, Any], model_dir: Path, now: Mapping[str, str]
) -> RecordCheck:
    """Compare training_metadata.json with what is there.

    Args:
        now: key -> hash recomputed from the files; compared with the record's `hashes`.
    """
    differing = list(_differing(metadata.get("hashes") or {}, now))
    sizes = list(size_findings(metadata, stored_parameters(model_dir)))
    grade: RecordGrade = 2 if differing else 1 if sizes else 0
    return RecordCheck(grade, (*differing, *sizes))


def _differing(recorded: Mapping[str, Any], now: Mapping[str, str]) -> Iterator[str]:
    for name, value in now.items():
        then = recorded.get(name)
        if then is None:
            yield f"{name} is not in the training record"
        elif then != value:
            yield f"{name} was {str(then)[:12]} at training and is {value[:12]} now"


def size_findings(metadata: Mapping[str, Any], stored: int | None) -> Iterator[str]:
    """Where the model's name, its recorded counts and the numbers in its file disagree.

    Args:
        stored: numbers in the weight files; None where they are not at hand.
    """
    name, recorded = str(metadata.get("model_name", "")), metadata.get("num_parameters")
    trainable = metadata.get("num_trainable_parameters")
    claimed = claimed_parameters(name)
    if not isinstance(recorded, int) or not isinstance(trainable, int):
        yield "the training record does not count its parameters"
        return
    if claimed is not None and abs(recorded - claimed) > SIZE_TOLERANCE * claimed:
        yield f"{name} has {compact(recorded)} parameters, its name says {compact(claimed)}"
    if stored is not None and abs(stored - recorded) > _COUNT_TOLERANCE * recorded:
        yield f"the model file holds {compact(stored)} numbers, the record says {compact(recorded)}"
    if not 0 < trainable <= recorded:
        yield f"{trainable} of {recorded} parameters were trainable"
