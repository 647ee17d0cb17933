"""A container's memory, from folders as Linux lays them out; the cores that a process may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from distillery_core.student.computing import device
from distillery_core.student.computing.device import pick_threads, usable_cores
from distillery_core.student.planning import container, target
from distillery_core.student.planning.step_memory import GIB

UNLIMITED = "9223372036854771712"
_ON_ONE_CORE = """import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from distillery_core.student.computing.device import pick_threads, usable_cores
print(usable_cores(), pick_threads(8))
"""


@pytest.mark.parametrize(
    ("group", "files", "limit"),
    [
        ("0::/\n", {"memory.max": "2000"}, 2000),
        ("0::/\n", {"memory.max": "max"}, None),
        ("0::/\n", {}, None),
        ("", {"memory.max": "2000"}, None),
        # The smallest along the process's own path, not that of a neighbour.
        (
            "0::/a/b\n",
            {"memory.max": "max", "a/memory.max": "3000", "a/b/memory.max": "9000",
             "c/memory.max": "1"},
            3000,
        ),
        ("0::/a/b\n", {"a/b/memory.max": "700", "a/memory.max": "3000"}, 700),
        # The host's path, of which the container sees nothing.
        ("0::/docker/1f\n", {"memory.max": "5000"}, 5000),
        ("0::/../../elsewhere\n", {"memory.max": "5000"}, 5000),
        # Version 1, and both at once.
        ("4:memory:/\n0::/\n", {"memory/memory.limit_in_bytes": "4000"}, 4000),
        (
            "7:cpu,cpuacct:/x\n4:hugetlb,memory:/x/y\n0::/\n",
            {"memory/x/memory.limit_in_bytes": "600",
             "memory/x/y/memory.limit_in_bytes": UNLIMITED, "memory.max": "4000"},
            600,
        ),
        ("3:cpu:/x\n", {"memory/x/memory.limit_in_bytes": "600"}, None),
        ("not a group\n", {"memory.max": "2000"}, None),
        ("0::/\n", {"memory.max": "many"}, None),
    ],
)  # fmt: skip
def test_the_smallest_limit_above_the_process(
    group: str, files: dict[str, str], limit: int | None, tmp_path: Path
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(group)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    assert container.memory_limit(tmp_path) == limit


def test_a_system_without_groups_has_no_limit(tmp_path: Path) -> None:
    assert container.memory_limit(tmp_path) is None


@pytest.mark.parametrize(("limit", "counts"), [(GIB, True), (int(UNLIMITED), False), (None, False)])
def test_the_plan_counts_on_the_smaller_of_machine_and_container(
    limit: int | None, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "memory_limit", lambda: None)
    machine = target.target_for("cpu").memory
    monkeypatch.setattr(target, "memory_limit", lambda: limit)
    found = target.target_for("cpu").memory
    assert found == (pytest.approx(0.94 * GIB) if counts else machine)
    assert target.target_for("cpu", memory_gib=3).memory == 3 * GIB, "what is asked for wins"


def test_no_more_threads_than_cores() -> None:
    cores = usable_cores()
    assert pick_threads(5000) == cores
    assert pick_threads(1) == 1
    assert pick_threads(None) <= cores


@pytest.mark.parametrize(
    ("cores", "processes", "asked", "taken"),
    [
        (16, 4, None, 2),
        (16, 1, None, 8),
        (16, 8, None, 1),
        (16, 4, 8, 4),
        (16, 4, 3, 3),
        (4, 8, None, 1),
        (4, 8, 2, 1),
    ],
)
def test_processes_that_share_a_run_share_the_cores(
    cores: int, processes: int, asked: int | None, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "usable_cores", lambda: cores)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert pick_threads(asked) == taken


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity here")
def test_only_the_cores_of_this_process_count() -> None:
    found = [sys.executable, "-c", _ON_ONE_CORE]
    assert subprocess.run(found, capture_output=True, text=True, check=True).stdout == "1 1\n"
