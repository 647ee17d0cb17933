"""Values, intervals and limits of a line in words: 0.125 as "12.5 %", 1 as "yes"."""

from __future__ import annotations

from distillery_core.verdicts.conditions import Condition
from distillery_core.verdicts.criteria import CriteriaLine, Unit
from distillery_core.verdicts.measurement import Measurement

NOTHING = "-"


def value(number: float | None, line: CriteriaLine | None) -> str:
    """A measured number with its unit; "-" where there is none."""
    if number is None or line is None:
        return NOTHING
    return _number(number, line.unit)


def interval(ends: tuple[float, float] | None, line: CriteriaLine | None) -> str:
    """A 95 % interval as "1.4 % to 33.3 %"; empty where there is none."""
    if ends is None or line is None:
        return ""
    return f"{_number(ends[0], line.unit)} to {_number(ends[1], line.unit)}"


def condition(band: Condition, line: CriteriaLine) -> str:
    """A limit in the line's unit: "< 10 %"."""
    if line.unit == "share":
        return f"{band.operator} {band.limit * 100:g} %"
    if line.unit == "flag":
        return "yes" if band.upward else "no"
    if line.unit == "count" and str(band) == "<= 0":
        return "0"
    return str(band)


def compared(measured: Measurement, line: CriteriaLine) -> str:
    """What was measured and what was wanted: "12.5 %, wanted < 10 %"; for a grade, which is no
    number, what it stands for."""
    if line.unit == "grade" and measured.note:
        return measured.note
    return f"{_judged(measured, line)}, wanted {condition(line.ok_band, line)}"


def failed(measured: Measurement, band: Condition, line: CriteriaLine) -> str:
    """As `compared`, with the limit that was crossed."""
    also = "".join(f" and {name} {text}" for name, text in line.fail_requires.items())
    limit = "" if line.unit == "grade" else f", fails at {condition(band, line)}{also}"
    return compared(measured, line) + limit


def _judged(measured: Measurement, line: CriteriaLine) -> str:
    shown = value(measured.point, line)
    by_interval = {line.ok_by, line.fail_by} != {"point"}
    ends = interval(measured.interval, line) if by_interval else ""
    return f"{shown} ({ends})" if ends else shown


def _number(number: float, unit: Unit) -> str:
    if unit == "share":
        return f"{number * 100:.1f} %"
    if unit == "flag":
        return "yes" if number >= 1 else "no"
    if unit in {"count", "grade"}:
        return f"{number:g}"
    return f"{number:+.3f}" if unit == "difference" else f"{number:.3f}"
