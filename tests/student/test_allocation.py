"""Memory that is freed stays with the process while a run goes on, and only then."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

from distillery_core.student.computing import allocation
from distillery_core.student.computing.allocation import memory_kept

_NAME, _VERSION = platform.libc_ver()
glibc = pytest.mark.skipif(
    _NAME != "glibc" or tuple(map(int, _VERSION.split("."))) < (2, 35),
    reason="the C library is not glibc, or one that keeps nothing larger than 32 MiB",
)

OF_ITS_OWN = """
import json, resource
from pathlib import Path
import numpy as np
from distillery_core.student.computing.allocation import memory_kept

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(8 << 20)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

found = {"before": page_faults(), "held before": held()}
with memory_kept():
    page_faults()
    found |= {"kept": page_faults(), "held": held()}
found |= {"held after": held(), "after": page_faults()}
with memory_kept(wanted=False):
    found["not wanted"] = page_faults()
print(json.dumps(found))
"""
"""In a process that no test has had before: what it allocated decides where memory lies."""


@pytest.fixture(scope="module")
def found() -> dict[str, int]:
    unset = {name: value for name, value in os.environ.items() if name not in allocation._OWN}
    done = subprocess.run(
        [sys.executable, "-c", OF_ITS_OWN], capture_output=True, text=True, env=unset, check=False
    )
    assert done.returncode == 0, done.stderr
    counted: dict[str, int] = json.loads(done.stdout)
    return counted


@glibc
def test_freed_memory_is_not_fetched_from_the_kernel_again(found: dict[str, int]) -> None:
    assert all(found[when] > 10 * found["kept"] for when in ("before", "after", "not wanted"))


@glibc
def test_what_was_kept_is_given_back(found: dict[str, int]) -> None:
    kept = found["held"] - found["held before"]
    assert kept > 32 << 20
    assert found["held after"] - found["held before"] < kept / 2


def test_an_older_glibc_keeps_what_it_may() -> None:
    asked: list[tuple[int, int]] = []

    class Older:
        def mallopt(self, name: int, size: int) -> int:
            asked.append((name, size))
            return int(size <= 32 << 20 or name == -1)

    allocation._set(Older(), allocation._KEPT)
    assert asked == [(-3, 256 << 20), (-3, 32 << 20), (-1, 1 << 30)]


@pytest.mark.parametrize("name", sorted(allocation._OWN))
def test_thresholds_of_the_users_own_stay(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "131072")
    monkeypatch.setattr(allocation, "_set", lambda *_: pytest.fail("they were changed"))
    with memory_kept():
        pass


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocation, "_set", lambda *_: pytest.fail("there is no mallopt"))
    with memory_kept():
        pass
