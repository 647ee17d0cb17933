"""How often each verdict comes out for students whose truth is known (`make bench-verdicts`).

Each run draws a dataset and a student, measures every line with the product's own code, bootstrap
and all, and decides with the shipped table. A bad student may be DEPLOYed in less than 1 % of the
runs and a good one FAILed in less than 5 %, at every size of the test set.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.simulated_students import (  # noqa: E402
    STUDENTS,
    Student,
    evidence_of,
    simulated_filter,
)
from distillery_core.agents.evaluation_lines import evaluation_measurements  # noqa: E402
from distillery_core.verdicts import (  # noqa: E402
    Criteria,
    Decision,
    decide,
    load_criteria,
    wilson,
)

SIZES = (34, 100, 200, 500)
"""Test articles. 2,000 would take more than these together; `--sizes 2000` adds them."""

RUNS = 2000
WORDS = ("DEPLOY", "REVIEW", "FAIL")
MOST_BAD_DEPLOYED, MOST_GOOD_FAILED = 0.01, 0.05
RESULTS = ROOT / "docs" / "data" / "bench_verdicts.json"


@dataclass(frozen=True)
class Cell:
    """Verdicts of one kind of student at one size of the test set.

    `counts` holds how often each word came out, `deciding` which lines decided, of all runs.
    """

    student: str
    good: bool
    truth: str
    n_test: int
    runs: int
    counts: dict[str, int]
    deciding: dict[str, int]

    def share(self, word: str) -> float:
        """How often this verdict came out, 0-1."""
        return self.counts.get(word, 0) / self.runs


def judge_once(student: Student, n: int, rng: np.random.Generator) -> Decision:
    """Draw one student of this kind, measure and decide."""
    evidence = evidence_of(rng, student.draw(rng, n))
    measured = evaluation_measurements(evidence, simulated_filter().operating_point)
    return decide(shipped_table(), measured, evidence.kind)


@lru_cache(maxsize=1)
def shipped_table() -> Criteria:
    """The table behind DEPLOY / REVIEW / FAIL as it is shipped."""
    return load_criteria("model_evaluation", ROOT).for_round("evaluation")


def run_cell(number: int, n: int, runs: int, seed: int) -> Cell:
    """All runs of `STUDENTS[number]` at one size; the same seed gives the same counts."""
    student = STUDENTS[number]
    rng = np.random.default_rng((seed, number, n))
    counts: Counter[str] = Counter()
    deciding: Counter[str] = Counter()
    for _ in range(runs):
        decision = judge_once(student, n, rng)
        counts[decision.word] += 1
        deciding[decision.deciding.name] += 1
    common = dict(deciding.most_common(3))
    return Cell(student.name, student.good, student.truth, n, runs, dict(counts), common)


def worst(cells: list[Cell], *, good: bool, word: str) -> float:
    """The largest share of this verdict among good or among bad students."""
    return max(cell.share(word) for cell in cells if cell.good is good)


def table(cells: list[Cell]) -> list[str]:
    """One line for each cell: shares in percent, each with its Wilson 95 % interval."""
    lines = [f"{'student':44} {'n_test':>6}  " + "  ".join(f"{word:>22}" for word in WORDS)]
    for cell in cells:
        name = f"{'good' if cell.good else 'bad '} {cell.student}"[:44]
        shares = "  ".join(f"{_share(cell, word):>22}" for word in WORDS)
        lines.append(f"{name:44} {cell.n_test:>6}  {shares}")
    return lines


def _share(cell: Cell, word: str) -> str:
    low, high = wilson(cell.counts.get(word, 0), cell.runs)
    return f"{cell.share(word):.2%} ({low:.2%}-{high:.2%})"


def write(path: Path, cells: list[Cell], seed: int, day: str) -> None:
    """The results that docs/verdicts.md shows."""
    rows = [
        {
            "student": cell.student,
            "good": cell.good,
            "truth": cell.truth,
            "n_test": cell.n_test,
            "counts": {word: cell.counts.get(word, 0) for word in WORDS},
            "deciding": cell.deciding,
        }
        for cell in cells
    ]
    found = {"date": day, "seed": seed, "runs": cells[0].runs, "cells": rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Run all cells, print the table and the three lines; 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--output", type=Path, help="also write the results as JSON")
    given = parser.parse_args()
    wanted = [(number, n) for number in range(len(STUDENTS)) for n in given.sizes]
    cells = []
    with ProcessPoolExecutor(given.jobs) as pool:
        futures = [pool.submit(run_cell, *one, given.runs, given.seed) for one in wanted]
        for future in futures:
            cells.append(future.result())
            print(table(cells)[-1], file=sys.stderr, flush=True)
    print("\n".join(table(cells)))
    if given.output:
        write(given.output, cells, given.seed, time.strftime("%Y-%m-%d", time.gmtime()))
    deployed = worst(cells, good=False, word="DEPLOY")
    failed = worst(cells, good=True, word="FAIL")
    print(f"bad_deployed={deployed:.4f}\ngood_failed={failed:.4f}\nruns={given.runs}")
    return int(deployed >= MOST_BAD_DEPLOYED or failed >= MOST_GOOD_FAILED)


if __name__ == "__main__":
    raise SystemExit(main())
