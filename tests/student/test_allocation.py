"""Memory that is freed stays with the process while a CPU run goes on, and only then."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from distillery_core.student import allocation
from distillery_core.student.allocation import memory_kept

PAGES_OF_64_MIB = (64 << 20) // resource.getpagesize()

pytestmark = pytest.mark.skipif(allocation._glibc() is None, reason="the C library is not glibc")


def _page_faults() -> int:
    """Of ten tensors of 64 MiB, one after another, when ten have been before."""
    for _ in range(10):
        torch.ones(16 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(16 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_freed_tensor_is_not_fetched_from_the_kernel_again() -> None:
    with memory_kept():
        assert _page_faults() < PAGES_OF_64_MIB / 10
    with memory_kept(wanted=False):
        assert _page_faults() > 20  # huge pages are few
    with pytest.raises(KeyError), memory_kept():
        raise KeyError
    assert _page_faults() > 20


def test_what_was_kept_is_given_back() -> None:
    def held() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])

    torch.ones(16 << 20)
    before = held()
    with memory_kept():
        torch.ones(16 << 20)
        assert held() > before + PAGES_OF_64_MIB / 2
    assert held() < before + PAGES_OF_64_MIB / 2


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation.platform, "libc_ver", lambda: ("", ""))
    with memory_kept():
        assert allocation._glibc() is None
