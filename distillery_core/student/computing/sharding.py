"""Weights shared among several devices (FSDP2), for bases whose copies would not fit one each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from distillery_core.errors import UserError


def refuse_one_process(processes: int) -> None:
    """Raise a UserError where there is nobody to share the weights with."""
    if processes == 1:
        raise UserError(
            "--fsdp shares the weights among several devices, there is one",
            where="--fsdp",
            hint="--devices 2 --fsdp",
        )


def shard(model: Any, processes: int, device: torch.device) -> None:
    """Share the weights of each layer, and then of the rest, among all processes.

    The model may stand in the CPU's memory: each layer goes to its device when it is shared out, so
    that a card never holds more than its share and one layer.

    There must be several: `refuse_one_process`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (processes,))
    for layer in _layers(model):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    model.to(device)  # what is no parameter


def full_state(model: Any) -> dict[str, Tensor]:
    """All weights, gathered on the CPU; every process calls it, the first one gets them."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state: dict[str, Any] = get_model_state_dict(model, options=options)
    return state


def whole(parameter: Tensor) -> Tensor:
    """A parameter's own numbers, gathered where they are shared; every process calls it."""
    gather = getattr(parameter, "full_tensor", None)
    return parameter if gather is None else gather()


def shared_like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor, which every process has, shared out and placed as a parameter is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    here = value.to(parameter.device)
    if not isinstance(parameter, DTensor):
        return here
    # Without a source nothing is sent: each process cuts its own part.
    return distribute_tensor(here, parameter.device_mesh, parameter.placements, src_data_rank=None)


def _layers(model: Any) -> list[torch.nn.Module]:
    """The layers that transformers says are never split."""
    names = set(getattr(model, "_no_split_modules", None) or ())
    return [module for module in model.modules() if type(module).__name__ in names]
