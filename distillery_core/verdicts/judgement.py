"""Judges one line of a verdict table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from distillery_core.types import Level
from distillery_core.verdicts import wording
from distillery_core.verdicts.conditions import Condition
from distillery_core.verdicts.criteria import CriteriaLine, ForKind
from distillery_core.verdicts.measurement import Measurement

Measurements = Mapping[str, Measurement]

UNMEASURED = Measurement()


@dataclass(frozen=True, slots=True)
class LineResult:
    """A line as the report prints it.

    Attributes:
        level: how it came out.
        reason: why, in a few words made of numbers and limits.
        measurement: what was judged.
        insufficient: True where the level is REVIEW for want of evidence.
        decides: False where the line is printed only.
        line: the limits used; None for lines without any (the reading, "every line").
    """

    name: str
    title: str
    level: Level
    reason: str
    measurement: Measurement = UNMEASURED
    insufficient: bool = False
    decides: bool = True
    line: CriteriaLine | None = None

    @property
    def value_text(self) -> str:
        """The value with its unit, e.g. "12.5 %"."""
        return wording.value(self.measurement.point, self.line)

    @property
    def interval_text(self) -> str:
        """The 95 % interval, or an empty text."""
        return wording.interval(self.measurement.interval, self.line)

    @property
    def ok_text(self) -> str:
        """The condition of the best band."""
        return wording.condition(self.line.ok_band, self.line) if self.line else ""

    @property
    def fail_text(self) -> str:
        """The condition of the worst band, or an empty text."""
        if self.line is None or self.line.fail_band is None:
            return ""
        return wording.condition(self.line.fail_band, self.line)


def judge(line: CriteriaLine, measurements: Measurements, kind: str) -> LineResult:
    """How one line comes out; any measurements at all give an answer.

    Args:
        measurements: all of the report's, since a line may look at others' (stand_in,
            minimum_n_of, fail_requires).
        kind: "general" or "needle"; for any other word every line applies, counts and can fail.
    """
    level, reason, insufficient = _outcome(line, measurements, kind)
    return LineResult(
        name=line.name,
        title=line.title,
        level=level,
        reason=reason,
        measurement=measurements.get(line.name, UNMEASURED),
        insufficient=insufficient,
        decides=_for_kind(line.decides_for, kind),
        line=line,
    )


_Outcome = tuple[Level, str, bool]


def _outcome(line: CriteriaLine, measurements: Measurements, kind: str) -> _Outcome:
    if not _for_kind(line.applies_to, kind):
        return Level.NOT_APPLICABLE, f"for {line.applies_to} filters only", False
    measured = measurements.get(line.name)
    if measured is None or not measured.applicable:
        return _without(line, measured, measurements)
    if measured.point is None:
        return _insufficient(measured.note or "not measured")
    if line.minimum_n is not None:
        n = _counted(line, measured, measurements)
        if n is None:
            return _insufficient("sample size unknown")
        if n < line.minimum_n:
            few = f"n = {n} < {line.minimum_n}"
            return _from_few(line, measured, measurements, kind, few)
    return _from_enough(line, measured, measurements, kind)


def _for_kind(wanted: ForKind, kind: str) -> bool:
    """Whether a kind is meant; an unknown kind always is, so that nothing escapes judgement."""
    return wanted in {"all", kind} or kind not in {"general", "needle"}


def _insufficient(why: str) -> _Outcome:
    return Level.REVIEW, f"insufficient evidence: {why}", True


def _without(
    line: CriteriaLine, measured: Measurement | None, measurements: Measurements
) -> _Outcome:
    """A line that was not measured, or is said not to apply."""
    if line.stand_in is not None:
        other = measurements.get(line.stand_in, UNMEASURED)
        if other.applicable and other.point is not None:
            note = measured.note if measured else ""
            return Level.NOT_APPLICABLE, note or f"judged by {line.stand_in}", False
        return _insufficient(f"neither this nor {line.stand_in} was measured")
    if measured is None:
        return _insufficient("not measured")
    if not line.may_not_apply:
        return _insufficient("said not to apply, but it applies to every filter")
    return Level.NOT_APPLICABLE, measured.note or "not applicable", False


def _counted(line: CriteriaLine, measured: Measurement, measurements: Measurements) -> int | None:
    """The sample size that `minimum_n` speaks of."""
    if line.minimum_n_of is None:
        return measured.n
    return measurements.get(line.minimum_n_of, UNMEASURED).n


def _from_few(
    line: CriteriaLine, measured: Measurement, measurements: Measurements, kind: str, few: str
) -> _Outcome:
    """Too few to tell, unless even the whole interval is bad (4 of 5 wrong)."""
    if line.below_minimum == "not_applicable":
        return Level.NOT_APPLICABLE, few, False
    band = line.fail_band
    if band is not None and _whole(measured, band) and _can_fail(line, measurements, kind):
        shown = wording.condition(band, line)
        return Level.FAIL, f"{few}, but the whole interval is {shown}", False
    return _insufficient(few)


def _from_enough(
    line: CriteriaLine, measured: Measurement, measurements: Measurements, kind: str
) -> _Outcome:
    band = line.fail_band
    if band is not None and _lies(measured, band, line.fail_by):
        if _can_fail(line, measurements, kind):
            return Level.FAIL, wording.failed(measured, band, line), False
        return Level.REVIEW, wording.compared(measured, line), False
    if line.ok_by != "point" and measured.interval is None:
        return _insufficient(f"{wording.compared(measured, line)}, but there is no interval")
    met = _lies(measured, line.ok_band, line.ok_by)
    return Level.OK if met else Level.REVIEW, wording.compared(measured, line), False


def _lies(measured: Measurement, band: Condition, by: str) -> bool:
    if by == "interval":
        return _whole(measured, band)
    if by == "overlap":
        return measured.interval is not None and any(map(band.holds, measured.interval))
    return measured.point is not None and band.holds(measured.point)


def _whole(measured: Measurement, band: Condition) -> bool:
    return measured.interval is not None and all(map(band.holds, measured.interval))


def _can_fail(line: CriteriaLine, measurements: Measurements, kind: str) -> bool:
    if not _for_kind(line.fails_for, kind):
        return False
    points = {name: measurements.get(name, UNMEASURED).point for name in line.fail_requires}
    return all(
        point is not None and Condition.parse(line.fail_requires[name]).holds(point)
        for name, point in points.items()
    )
