"""Every line of every table just inside and just outside each of its limits (YAML cases)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.types import Level
from distillery_core.verdicts import Measurement, decide, rate, read_criteria

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for path in (ROOT / "tests/cases/verdicts").glob("*.yaml")
    if (ROOT / "agents" / path.stem).is_dir()
)
TABLES = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES}
CASES = [
    pytest.param(agent, line, case, id=f"{agent}-{line}-{number}")
    for agent, table in TABLES.items()
    for line, cases in table["cases"].items()
    for number, case in enumerate(cases)
]


def measured(given: Any) -> Measurement:
    return rate(*given) if isinstance(given, list) else Measurement.from_dict(given)


def criteria_of(agent: str):
    criteria = read_criteria(ROOT / "agents" / agent / "criteria.yaml")
    return criteria.for_round(TABLES[agent]["round"])


def test_every_shipped_table_has_cases():
    shipped = {path.parent.name for path in (ROOT / "agents").glob("*/criteria.yaml")}
    assert shipped == set(TABLES)


@pytest.mark.parametrize("agent", TABLES)
def test_every_line_has_a_case_for_each_band(agent):
    criteria, cases = criteria_of(agent), TABLES[agent]["cases"]
    assert set(cases) == set(criteria.names)
    for line in criteria.lines:
        levels = {case["level"] for case in cases[line.name]}
        worst = "FAIL" if line.fail else "REVIEW"
        assert {"OK", worst} <= levels, line.name


NEAR = {"share": 0.021, "score": 0.0101, "difference": 0.0101, "ratio": 0.0101}
"""How far a case may be from a limit to count as just inside or outside; for counts, flags and
grades 1, for rates one article."""


def judged_end(line, band, by: str, value: Measurement) -> float | None:
    """The number that lies in a band or does not: the point, or the end of the interval that the
    whole interval (or any of it) hangs on."""
    if by == "point":
        return value.point
    if value.interval is None:
        return None
    low, high = value.interval
    return low if band.upward is (by == "interval") else high


def distance(line, limit: float, number: float, value: Measurement) -> float:
    """How many steps a case is from a limit: at most 1 is near."""
    step = NEAR.get(line.unit, 1.0)
    if line.unit == "share" and value.n:
        step = max(1 / value.n, step) + 1e-9
    return abs(number - limit) / step


def sides(line, name: str, cases) -> set[bool]:
    """Whether there are cases just inside (True) and just outside (False) of one of its bands."""
    band = line.ok_band if name == "ok" else line.fail_band
    by = line.ok_by if name == "ok" else line.fail_by
    found = set()
    for case in cases:
        value = measured(case["given"])
        number = judged_end(line, band, by, value)
        if number is not None and distance(line, band.limit, number, value) <= 1:
            found.add(band.holds(number))
    return found


@pytest.mark.parametrize("agent", TABLES)
def test_every_limit_has_a_case_just_inside_and_just_outside(agent):
    lacking = [
        f"{line.name} {name}"
        for line in criteria_of(agent).lines
        for name in ("ok", "fail")
        if (name == "ok" or line.fail)
        and sides(line, name, TABLES[agent]["cases"][line.name]) != {True, False}
    ]
    assert lacking == []


@pytest.mark.parametrize("agent", TABLES)
def test_every_minimum_n_has_a_case_at_it_and_one_below(agent):
    lacking = []
    for line in criteria_of(agent).lines:
        if line.minimum_n is None:
            continue
        counted = set()
        for case in TABLES[agent]["cases"][line.name]:
            given = case.get("also", {}).get(line.minimum_n_of, case["given"])
            counted.add(measured(given).n)
        if not {line.minimum_n - 1, line.minimum_n} <= counted:
            lacking.append(line.name)
    assert lacking == []


@pytest.mark.parametrize("agent", TABLES)
@pytest.mark.parametrize("kind", ["general", "needle"])
def test_all_well_is_ok(agent, kind):
    measurements = {name: measured(given) for name, given in TABLES[agent]["all_well"].items()}
    decision = decide(criteria_of(agent), measurements, kind)
    assert decision.level is Level.OK, decision.because
    assert decision.deciding.name == "every_line"
    assert decision.because == ()


@pytest.mark.parametrize(("agent", "line", "case"), CASES)
def test_case(agent, line, case):
    changed = {**TABLES[agent]["all_well"], line: case["given"], **case.get("also", {})}
    measurements = {name: measured(given) for name, given in changed.items()}
    decision = decide(criteria_of(agent), measurements, case.get("kind", TABLES[agent]["kind"]))
    result = next(found for found in decision.lines if found.name == line)
    assert result.level is Level[case["level"]], result.reason
    assert result.insufficient is case.get("insufficient", False), result.reason
    expected = Level[case.get("verdict", case["level"])]
    if expected > Level.OK:
        assert decision.level is expected
        assert decision.deciding.level is expected
