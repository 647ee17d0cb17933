"""Resident memory of a labelling run above its imports: `rss_mb_100k=`, the highest seen, in MB.

The server is another process and answers at once; 256 calls are in flight. With `--rows 20000` and
`--rows 100000` it can be seen that memory does not grow with the corpus.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import openai  # noqa: F401 - what is measured comes after the imports
from oracle_setup import build, serving, spec_of

from distillery_core.labelling import label_file
from distillery_core.oracle import asking, openai_client  # noqa: F401

_EVERY_S = 0.2


class Watch:
    """Looks at this process's resident memory until stopped."""

    def __init__(self) -> None:
        self.highest_mb = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """The highest memory seen, in MB."""
        self._over.set()
        self._thread.join()
        return self.highest_mb

    def _look(self) -> None:
        while not self._over.wait(_EVERY_S):
            self.highest_mb = max(self.highest_mb, resident_mb())


def resident_mb() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    chosen: Any = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        # Built by a child: what building takes is no part of the run.
        folder = Path(scratch) / "project"
        child = os.fork()
        if child == 0:
            build(folder, chosen.rows)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        measure(folder, chosen.rows)


def measure(folder: Path, rows: int) -> None:
    """Label everything and say how much memory that took."""
    from distillery_core.filters import load_filter

    filter = load_filter(folder / "filters" / "uplifting" / "v1")
    with serving(filter.folder / "recording", latency_s=0.0, faults=False) as server:
        gc.collect()
        before, watch = resident_mb(), Watch()
        summary = label_file(
            filter,
            folder / "articles.jsonl",
            folder / "labelled.jsonl",
            spec=spec_of(server.address, 256),
            project=folder,
        )
        highest = watch.stop()
    assert summary.states == {"done": rows}, summary.states
    print(f"{rows} rows in {summary.seconds:.0f} s; {before:.0f} MB before, {highest:.0f} MB then")
    print(f"requests_per_s={rows / summary.seconds:.0f}")
    print(f"rss_mb_{rows // 1000}k={highest - before:.1f}")


if __name__ == "__main__":
    main()
