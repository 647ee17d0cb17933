"""Where and how exactly is computed: device, precision, CPU threads."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from distillery_core.errors import UserError
from distillery_core.student.settings import Device, Precision

_MOST_THREADS = 8


def pick_device(device: Device) -> torch.device:
    """The device to compute on.

    Raises:
        UserError: a GPU was asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("there is no CUDA device", where="device", hint="--device cpu")
    use_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_gpu else "cpu")


def pick_precision(precision: Precision, device: torch.device) -> Precision:
    """float32 or bf16; auto is bf16 where the device computes it in hardware."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "float32"
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16" if has_bf16() else "float32"


def usable_cores() -> int:
    """Cores that this process may use: of a container or a share of the machine, only its own."""
    import joblib

    return int(joblib.cpu_count())


def processes_here() -> int:
    """Processes of this machine that share a run: what `--devices` or `torchrun` started."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def started_fewer(processes: int) -> str | None:
    """In a line, that a launcher was to start more processes than share the run; else None.

    `accelerate launch --cpu` starts one whatever `--num_processes` says (without an mpirun), and
    only leaves it an address to meet the others at.

    Args:
        processes: that share the run.
    """
    asked = int(os.environ.get("WORLD_SIZE", "1"))
    by_accelerate = {"ACCELERATE_MIXED_PRECISION", "MASTER_PORT"} <= os.environ.keys()
    if processes < asked:
        return f"{asked} processes were asked for, {processes} share this run"
    if processes == 1 and by_accelerate and "WORLD_SIZE" not in os.environ:
        return (
            "accelerate was asked for several processes and started one; "
            "--devices N, torchrun, or accelerate launch --multi_gpu starts them, on a CPU too"
        )
    return None


def pick_threads(asked: int | None) -> int:
    """CPU threads to compute with: what is asked for, at most one for each core. Processes that
    share a run share the cores.

    One on up to two cores: two OpenMP threads that wait for each other on a shared machine were
    measured up to 6x slower than one.
    """
    cores = max(1, usable_cores() // processes_here())
    if asked is not None:
        return min(asked, cores)
    return 1 if cores <= 2 else min(cores // 2, _MOST_THREADS)


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Torch computes with `count` threads while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Mixed precision for one forward pass: bf16 products, float32 weights."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def describe(device: torch.device) -> str:
    """The device in words, for the training record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({platform.machine()}, {torch.backends.cpu.get_cpu_capability()})"
