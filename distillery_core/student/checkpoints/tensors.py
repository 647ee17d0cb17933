"""The tensors of a checkpoint: what is trained, the optimizer's means of it, random states.

Weights that are shared among devices (FSDP) are gathered to be written and shared out again when
they are read, so a checkpoint does not depend on how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from distillery_core.student.computing.sharding import shared_like, whole
from distillery_core.student.optimisation import trainable

WEIGHTS = "weights.safetensors"
OPTIMIZER = "optimizer.safetensors"
RANDOM = "random.safetensors"
FILES = (WEIGHTS, OPTIMIZER, RANDOM)


@dataclass(frozen=True)
class Tensors:
    """What is trained, and the optimizer's means of it as `exp_avg|layer.weight`."""

    weights: dict[str, Tensor]
    moments: dict[str, Tensor]


def trained_tensors(model: Any, optimizer: Any, names: Sequence[str], keeps: bool) -> Tensors:
    """Take the tensors of a checkpoint; every process calls it, since shared weights are gathered.

    Args:
        names: of the optimizer's parameters, in its order.
        keeps: whether this process gets them; in the others they come out empty.
    """
    return Tensors(
        weights={name: _taken(parameter, keeps) for name, parameter in trainable(model)},
        moments={
            f"{key}|{name}": _taken(value, keeps)
            for name, parameter in zip(names, _parameters(optimizer), strict=True)
            for key, value in optimizer.state.get(parameter, {}).items()
        },
    )


def _taken(tensor: Tensor, keeps: bool) -> Tensor:
    """Whole; a gathered one does not stay on its device, where there is no room for all."""
    own = tensor.detach()
    gathered = whole(own)
    if not keeps:
        return own.new_empty(0)
    return (gathered if gathered is own else gathered.cpu()).contiguous()


def write_tensors(
    folder: Path, tensors: Tensors, random_states: Sequence[dict[str, Tensor]]
) -> None:
    """Write the three files.

    Args:
        random_states: torch's, of every process.
    """
    save_file(tensors.weights, folder / WEIGHTS)
    save_file(tensors.moments, folder / OPTIMIZER)
    states = {f"{r}.{key}": t for r, one in enumerate(random_states) for key, t in one.items()}
    save_file(states, folder / RANDOM)


def put_back(
    folder: Path, model: Any, optimizer: Any, names: Sequence[str], rates: Sequence[float]
) -> None:
    """Set what is trained and the optimizer as they were.

    Args:
        names: of the optimizer's parameters, in its order.
        rates: learning rate of each parameter group.

    Raises:
        OSError, SafetensorError, KeyError, RuntimeError: the files do not hold what is trained.
    """
    weights, moments = load_file(folder / WEIGHTS), load_file(folder / OPTIMIZER)
    with torch.no_grad():
        for name, parameter in trainable(model):
            parameter.copy_(shared_like(weights[name], parameter))
    _restore_optimizer(optimizer, names, moments, rates)


def _restore_optimizer(
    optimizer: Any, names: Sequence[str], moments: dict[str, Tensor], rates: Sequence[float]
) -> None:
    by_name = dict(zip(names, _parameters(optimizer), strict=True))
    for joined, value in moments.items():
        key, _, name = joined.partition("|")
        parameter = by_name[name]
        # A step's number is the same everywhere; the two means are shared out like their parameter.
        is_mean = value.shape == parameter.shape
        optimizer.state[parameter][key] = (
            shared_like(value, parameter) if is_mean else value.to(parameter.device)
        )
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _parameters(optimizer: Any) -> list[Any]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
