"""From measurements to a verdict: the worst line decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distillery_core.types import Level
from distillery_core.verdicts.criteria import Criteria
from distillery_core.verdicts.judgement import LineResult, Measurements, judge

READING = "reading"
EVERY_LINE = "every_line"
UNREAD = "not read by a model"

_SILENT = Level.NOT_APPLICABLE


@dataclass(frozen=True, slots=True)
class Lowered:
    """What an agent that read the evidence wants the verdict lowered to.

    Attributes:
        to: the level; one that is no lower than the computed verdict changes nothing.
        reason: why, in the agent's words (text of a model: escape it before showing it).
        by: who read, e.g. the model's name.
    """

    to: Level
    reason: str
    by: str

    def to_dict(self) -> dict[str, str]:
        """For the front matter; the level by its name."""
        return {"to": self.to.name, "reason": self.reason, "by": self.by}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Lowered:
        """The inverse of `to_dict` (ValueError: other keys, or no such level)."""
        if set(data) != {"to", "reason", "by"} or data["to"] not in {"OK", "REVIEW", "FAIL"}:
            raise ValueError(f"lowered is {{to: OK|REVIEW|FAIL, reason, by}}, not {dict(data)!r}")
        return cls(Level[data["to"]], str(data["reason"]), str(data["by"]))


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with everything that led to it.

    Attributes:
        level: OK, REVIEW or FAIL, never NOT_APPLICABLE.
        word: what the table calls it (PASS, DEPLOY, ...).
        deciding: the first of the worst lines; where all are well, a line named "every_line".
        lines: all lines in the table's order, the agent's reading last.
        computed: the level before the agent's reading.
        kind: the filter kind it was decided for.
    """

    level: Level
    word: str
    deciding: LineResult
    lines: tuple[LineResult, ...]
    computed: Level
    kind: str

    @property
    def because(self) -> tuple[LineResult, ...]:
        """All lines that are as bad as the verdict; none where it is OK."""
        if self.level is Level.OK:
            return ()
        return tuple(line for line in self.lines if line.decides and line.level is self.level)


def decide(
    criteria: Criteria,
    measurements: Measurements,
    kind: str = "general",
    lowered: Lowered | None = None,
    read: str = UNREAD,
) -> Decision:
    """The verdict of a table on measurements. Pure, and it answers whatever it is given.

    A line that applies but was not measured is REVIEW (insufficient evidence). A reading can lower
    the verdict and never raise it.

    Args:
        criteria: the table of this round (`Criteria.for_round`), with the filter's overrides.
        measurements: line name -> what was measured; further names are allowed.
        kind: "general" or "needle".
        lowered: what the agent that read the evidence asks for, None if it asks for nothing.
        read: who read it, or that nobody did; said where nothing was asked for.
    """
    lines = tuple(judge(line, measurements, kind) for line in criteria.lines)
    computed = _worst(lines)
    reading = _reading(criteria, lowered, computed, read)
    shown = lines if reading is None else (*lines, reading)
    level = computed if reading is None else max(computed, reading.level)
    return Decision(level, criteria.words.of(level), _deciding(shown, level), shown, computed, kind)


def _worst(lines: tuple[LineResult, ...]) -> Level:
    """The worst level of the lines that decide; nothing at all is no evidence, so REVIEW."""
    levels = [line.level for line in lines if line.decides and line.level is not _SILENT]
    return max(levels, default=Level.REVIEW)


def _deciding(lines: tuple[LineResult, ...], level: Level) -> LineResult:
    if level is not Level.OK:
        for line in lines:
            if line.decides and line.level is level:
                return line
        return LineResult(EVERY_LINE, "Every line", level, "no line applied", insufficient=True)
    count = sum(line.decides and line.level is Level.OK for line in lines)
    return LineResult(EVERY_LINE, "Every line", level, f"{count} lines are within their limits")


def _reading(
    criteria: Criteria, lowered: Lowered | None, computed: Level, read: str
) -> LineResult | None:
    """The line of the agent's reading; None for a table that has none."""
    title = "Agent's reading"
    if lowered is None:
        if criteria.reading is None:
            return None
        return LineResult(READING, title, _SILENT, read)
    asked = criteria.words.of(lowered.to)
    if lowered.to > computed:
        return LineResult(READING, title, lowered.to, f"lowered to {asked} by {lowered.by}")
    if lowered.to is computed:
        return LineResult(READING, title, computed, f"{lowered.by} agrees: {asked}")
    said = f"{lowered.by} asked for {asked}, ignored: a reading cannot raise a verdict"
    return LineResult(READING, title, _SILENT, said)
