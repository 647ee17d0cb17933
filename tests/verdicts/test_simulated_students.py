"""Simulated students of known truth, a few runs of what `make bench-verdicts` does in thousands."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
RUNS = 15


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """benchmarks/verdicts.py, with scales found on fewer articles."""
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks import simulated_students, verdicts
    finally:
        sys.path.remove(str(ROOT))
    simulated_students._LARGE = 10_000
    return verdicts


@pytest.mark.parametrize("n", [34, 200])
def test_bad_students_do_not_deploy_and_good_ones_do_not_fail(bench: ModuleType, n: int) -> None:
    cells = [bench.run_cell(number, n, RUNS, seed=1) for number in range(len(bench.STUDENTS))]
    assert {
        cell.student: cell.counts for cell in cells if not cell.good and cell.share("DEPLOY")
    } == {}
    failed = sum(cell.counts.get("FAIL", 0) for cell in cells if cell.good)
    assert failed <= 3  # of 45, each with a probability below 5 %
    leaking = next(cell for cell in cells if cell.student == "leak")
    assert leaking.share("FAIL") == 1.0
    good = next(cell for cell in cells if cell.student == "good")
    assert good.share("DEPLOY") >= (0.5 if n >= 200 else 0.0)


def test_students_are_what_they_are_said_to_be(bench: ModuleType) -> None:
    from benchmarks.simulated_students import evidence_of, mean_error

    rng = np.random.default_rng(3)
    measured = {}
    for student in bench.STUDENTS:
        evidence = evidence_of(rng, student.draw(rng, 6000))
        error = mean_error(evidence.test.predictions, evidence.test.labels)
        constant = mean_error(evidence.constant, evidence.test.labels)
        positive, found = evidence.labelled_overall >= 5, evidence.overall >= 5
        recall = (positive & found).sum() / positive.sum()
        measured[student.name] = (error, 1 - error / constant, recall, evidence.kind)
    assert measured["good"][:2] == pytest.approx((0.85, 0.45), abs=0.03)
    assert measured["noise"][0] == pytest.approx(1.25, abs=0.03)
    assert measured["bias"][0] == pytest.approx(1.25, abs=0.03)
    assert measured["shrinkage"][1] == pytest.approx(0.05, abs=0.02)
    assert measured["copy of the source's median"][1] == pytest.approx(0.05, abs=0.02)
    assert measured["copy of a telling source's median"][1] == pytest.approx(0.30, abs=0.02)
    assert measured["needle that misses"][2:] == (pytest.approx(0.35, abs=0.06), "needle")
    assert measured["good needle"][2:] == (pytest.approx(0.75, abs=0.06), "needle")


def test_the_table_of_results_names_every_student(bench: ModuleType) -> None:
    cells = [bench.run_cell(number, 34, 2, seed=0) for number in range(2)]
    header, *rows = bench.table(cells)
    assert [row.split()[0] for row in rows] == ["good", "good"]
    assert "DEPLOY" in header
    assert bench.worst(cells, good=True, word="FAIL") == 0.0
