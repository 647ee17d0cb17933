"""Memory that a run frees on the CPU is kept by the process for its next step.

glibc gives a freed tensor of more than 32 MB back to the kernel, and what is free at the end of its
heap too. The next step gets it again page by page, each filled with zeros first.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""malloc.h's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD (man 3 mallopt)."""

_KEPT = {_MMAP_THRESHOLD: 256 << 20, _TRIM_THRESHOLD: 1 << 30}
"""Bytes: single tensors up to the first, and at the heap's end up to the second, stay here."""

_USUAL = {_MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20}
"""What glibc's own thresholds have risen to once a process has freed large tensors."""

_OWN = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"}
"""Who sets one of these has thoughts of their own, and keeps them."""


@contextmanager
def memory_kept(wanted: bool = True) -> Iterator[None]:
    """While the block runs. Nothing changes where the C library is not glibc.

    Args:
        wanted: False where memory is short, since what is kept lies in pieces of all sizes.
    """
    library = _glibc() if wanted and not _OWN & os.environ.keys() else None
    if library is None:
        yield
        return
    _set(library, _KEPT)
    try:
        yield
    finally:
        _set(library, _USUAL)
        library.malloc_trim(0)


def _glibc() -> Any:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def _set(library: Any, thresholds: dict[int, int]) -> None:
    for name, size in thresholds.items():
        if not library.mallopt(name, size):  # glibc before 2.35 takes no more than the usual
            library.mallopt(name, _USUAL[name])
