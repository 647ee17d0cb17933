"""Figures of 13 real training runs and 4 calibration rounds: none may pass on figures alone."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.types import Level
from distillery_core.verdicts import Measurement, decide, not_applicable, rate, read_criteria

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests/cases/verdicts"
RUNS = json.loads((CASES / "real_runs.json").read_text(encoding="utf-8"))
EXPECTED = yaml.safe_load((CASES / "real_runs_expected.yaml").read_text(encoding="utf-8"))


def table(agent: str, name: str):
    return read_criteria(ROOT / "agents" / agent / "criteria.yaml").for_round(name)


def of_history(run: dict[str, Any]) -> dict[str, Measurement]:
    curve, kept = run["val_mae_by_epoch"], run["best_epoch"]
    steps = list(itertools.pairwise(curve))
    falls = sum(after < before for before, after in steps[: kept - 1])
    falling = rate(falls, kept - 1) if kept > 1 else Measurement(0.0, n=0)
    none_better = not_applicable("fewer than 3 epochs")
    if len(curve) >= 3:
        none_better = Measurement(float(min(curve[1:]) >= curve[0]))
    return {
        "validation_train_gap": Measurement(run["train_val_gap_at_best"]),
        "epochs_improving": falling,
        "largest_rise": Measurement(max(after - before for before, after in steps)),
        "none_better_than_first": none_better,
        "record_agrees": Measurement(0.0 if name_fits(run) else 1.0),
        "against_incumbent": not_applicable("no incumbent"),
    }


def name_fits(run: dict[str, Any]) -> bool:
    billions = float(re.search(r"(\d+(?:\.\d+)?)b", run["model_name_claimed"].lower())[1])
    return 0.5 < run["num_parameters"] / (billions * 1e9) < 1.5


def of_test(test: dict[str, Any]) -> dict[str, Measurement]:
    errors = list(test["per_dim"].values())
    return {
        "test_articles": Measurement(test["n"]),
        "test_mae": Measurement(test["mae"], n=test["n"]),
        "test_rmse": Measurement(test["rmse"]),
        "dimensions_good": rate(sum(error < 1.1 for error in errors), len(errors)),
        "dimensions_poor": rate(sum(error > 1.2 for error in errors), len(errors)),
        "worst_dimension": Measurement(max(errors)),
        "test_validation_gap": Measurement(test["val_test_gap"]),
    }


def of_round(case: dict[str, Any]) -> dict[str, Measurement]:
    # Its variance figures include off-topic articles, so they are not what our lines measure.
    return {
        "off_topic_false_positives": rate(case["false_positives"], case["off_topic"]),
        "severe_false_positives": rate(case["severe_fp"], case["off_topic"]),
        "on_topic_misses": rate(case["false_negatives"], case["on_topic"]),
        "any_severe_on_topic": Measurement(float(case["any_ge_7"])),
        "scored_on_topic": Measurement(case["on_topic"]),
        "scored_off_topic": Measurement(case["off_topic"]),
        "repeatability": not_applicable("no repeats"),
    }


def judged(decision, measurements) -> dict[str, str]:
    """The measured lines that are not OK."""
    return {
        line.name: line.level.name
        for line in decision.lines
        if line.name in measurements and line.level > Level.OK
    }


@pytest.mark.parametrize("run", RUNS["evaluation_cases"], ids=lambda run: run["case"])
def test_training_run(run):
    expected = EXPECTED["evaluation"][run["case"]]
    measurements = of_history(run) | (of_test(run["test"]) if "test" in run else {})
    decision = decide(table("model_evaluation", "evaluation"), measurements)
    assert decision.word == expected["verdict"]
    assert judged(decision, measurements) == expected["not_ok"]
    assert run["verdict_by_written_rules"] == expected["written"]
    assert expected["written"] == expected["verdict"] or expected["difference"]
    assert {"leak", "skill", "implausible"} <= {i.name for i in decision.lines if i.insufficient}


@pytest.mark.parametrize("case", RUNS["calibration_cases"], ids=lambda case: case["case"])
def test_calibration_round(case):
    expected = EXPECTED["calibration"][case["case"]]
    measurements = of_round(case)
    decision = decide(table("prompt_calibration", "calibration"), measurements)
    assert decision.word == expected["verdict"]
    assert judged(decision, measurements) == expected["not_ok"]
    assert case["verdict_by_written_rules"] == expected["written"]
    assert expected["written"] == expected["verdict"] or expected["difference"]


def test_all_cases_are_pinned():
    assert len(RUNS["evaluation_cases"]) == len(EXPECTED["evaluation"]) == 13
    assert len(RUNS["calibration_cases"]) == len(EXPECTED["calibration"]) == 4


@pytest.mark.parametrize("case", RUNS["calibration_cases"], ids=lambda case: case["case"])
def test_wilson_interval_equals_the_published_one(case):
    measured = rate(case["false_positives"], case["off_topic"])
    assert [measured.low, measured.high] == pytest.approx(case["fp_wilson95"], abs=6e-4)
