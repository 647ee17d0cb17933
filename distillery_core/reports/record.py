"""The record of a judged report: all that it shows, as JSON beside it.

The markdown is rendered from the record; the HTML page, the document, the model card and the
comment in a pull request are made of it too, so none of them can show another number. The report's
sealed front matter holds the record's hash; a record that was changed is refused.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from distillery_core.errors import UserError
from distillery_core.files import sha256_json, write_text
from distillery_core.reports.facts import facts
from distillery_core.types import Level
from distillery_core.verdicts.criteria import Kind, Words
from distillery_core.verdicts.decision import Decision
from distillery_core.verdicts.front_matter import AGAIN, Report
from distillery_core.verdicts.judgement import LineResult
from distillery_core.verdicts.measurement import Measurement

SCHEMA = 1
HASH = "record_sha256"
"""Key of the record's hash among the numbers of the report's front matter."""

MAX_BYTES = 20_000_000

LevelName = Literal["OK", "REVIEW", "FAIL", "NOT_APPLICABLE"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, strict=True)


class Measured(_Strict):
    """What was measured for a line: value, sample size, count of a rate, 95 % interval."""

    value: float | None = None
    n: int | None = None
    count: int | None = None
    low: float | None = None
    high: float | None = None
    applicable: bool = True
    note: str = ""


class Line(_Strict):
    """A line of the verdict table; the texts carry their units and are empty where nothing is said.

    Attributes:
        level: how it came out; `word` is what the table calls that.
        value_text, interval_text: what was measured.
        ok_text, fail_text: the limits.
        insufficient: REVIEW for want of evidence.
        decides: False for a line that is printed only.
        changed_limits: what the filter's own limits replace, and its reason.
    """

    name: str
    title: str
    level: LevelName
    word: str
    reason: str
    value_text: str
    interval_text: str
    ok_text: str
    fail_text: str
    insufficient: bool
    decides: bool
    changed_limits: str = ""
    measurement: Measured


class Verdict(_Strict):
    """The decision: its word, the line that decided, and every line in the table's order.

    `computed` is the level before a model that read the evidence lowered it.
    """

    word: str
    level: LevelName
    computed: LevelName
    deciding: Line
    lines: tuple[Line, ...]

    @property
    def because(self) -> tuple[Line, ...]:
        """All lines that are as bad as the verdict; none where it is OK."""
        if self.level == "OK":
            return ()
        return tuple(one for one in self.lines if one.decides and one.level == self.level)


class LoweredTo(_Strict):
    """What a model that read the evidence lowered the verdict to, and why."""

    to: LevelName
    reason: str
    by: str


class Record(_Strict):
    """One judged report.

    Attributes:
        agent, round, title: whose report.
        filter, name, version: `crisis:v1`, `crisis`, 1.
        kind: general or needle.
        words: what the table calls OK, REVIEW and FAIL.
        decision: the verdict with every line.
        measurements: line -> what was measured, lines that are not in the table too.
        evidence: hashes and names of what it was made from, as the gate compares them.
        counts: articles by name.
        recommendations, next_step: finished markdown, all that came from outside escaped in it.
        reading, read_by: what a model read in the evidence, and who, or why nobody.
        lowered: what the reading did to the verdict, None where it did nothing.
        shown: everything else that the agent's template shows, by the names it has there.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    agent: str
    round: str
    title: str
    filter: str
    name: str
    version: int | str
    kind: Kind
    words: Words
    decision: Verdict
    measurements: dict[str, Measured]
    evidence: dict[str, str]
    counts: dict[str, int]
    recommendations: tuple[str, ...]
    next_step: str
    reading: dict[str, JsonValue] | None
    read_by: str
    lowered: LoweredTo | None
    shown: dict[str, JsonValue]

    def to_dict(self) -> dict[str, Any]:
        """As it is written."""
        return self.model_dump(mode="json", by_alias=True)

    @property
    def sha256(self) -> str:
        """Hash of the content, whatever its spacing."""
        return sha256_json(self.to_dict())


def record_path(report: Path) -> Path:
    """Where a report's record lies: beside it, with the same name."""
    return report.with_suffix(".json")


def write_record(path: Path, record: Record) -> None:
    """Write the record; the same record gives the same bytes. A row of numbers is one line."""
    text = json.dumps(record.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, _ROW.sub(_one_line, text) + "\n")


_ROW = re.compile(r"\[\s+(?:-?[\d.eE+-]+|null)(?:,\s+(?:-?[\d.eE+-]+|null))*\s+\]")


def _one_line(row: re.Match[str]) -> str:
    return re.sub(r"\s+", " ", row[0]).replace("[ ", "[").replace(" ]", "]")


def read_record(path: Path) -> Record:
    """Read a record back.

    Raises:
        UserError: it is missing, no record, or of a version that is not known here.
    """
    try:
        data = path.read_bytes()
        if len(data) > MAX_BYTES:
            raise UserError(f"a record has at most {MAX_BYTES:,} bytes", where=path)
        value = json.loads(data, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except FileNotFoundError:
        raise UserError("there is no such record", where=path, hint=AGAIN) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=path) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"no record: {error}", where=path, hint=AGAIN) from None
    return _validated(value, path)


def _validated(value: Any, path: Path) -> Record:
    found = value.get("schema") if isinstance(value, dict) else None
    if found != SCHEMA or isinstance(found, bool):
        what = f"a record of schema {found!r}; this version of distillery reads {SCHEMA}"
        raise UserError(what, where=path, hint=AGAIN)
    try:
        return Record.model_validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"no record: {place}: {first['msg']}", where=path, hint=AGAIN) from None


def record_of(path: Path, report: Report) -> Record | None:
    """The record that a whole report was rendered from; None for one from before there were any.

    Raises:
        UserError: it is missing, or is not the one the report was rendered from.
    """
    wanted = report.front.numbers.get(HASH)
    if wanted is None:
        return None
    record = read_record(record_path(path))
    if record.sha256 != wanted:
        what = f"the record was changed after {path.name} was written"
        raise UserError(what, where=record_path(path), hint=AGAIN)
    return record


def verdict_of(decision: Decision, words: Words) -> Verdict:
    """A decision as the record keeps it."""
    return Verdict(
        word=decision.word,
        level=_level(decision.level),
        computed=_level(decision.computed),
        deciding=line_of(decision.deciding, words),
        lines=tuple(line_of(line, words) for line in decision.lines),
    )


def line_of(line: LineResult, words: Words) -> Line:
    """A judged line as the record keeps it."""
    return Line(
        name=line.name,
        title=line.title,
        level=_level(line.level),
        word=words.of(line.level),
        reason=line.reason,
        value_text=line.value_text,
        interval_text=line.interval_text,
        ok_text=line.ok_text,
        fail_text=line.fail_text,
        insufficient=line.insufficient,
        decides=line.decides,
        changed_limits=_changed_limits(line),
        measurement=measured_of(line.measurement),
    )


def measured_of(measurement: Measurement) -> Measured:
    """A measurement as the record keeps it; what is not finite is not known."""
    return Measured.model_validate(
        {name: facts(value) for name, value in measurement.to_dict().items()}, strict=False
    )


def _level(level: Level) -> LevelName:
    names: dict[Level, LevelName] = {
        Level.OK: "OK",
        Level.REVIEW: "REVIEW",
        Level.FAIL: "FAIL",
        Level.NOT_APPLICABLE: "NOT_APPLICABLE",
    }
    return names[level]


def _changed_limits(line: LineResult) -> str:
    limits = line.line
    if limits is None or limits.override_reason is None:
        return ""
    return (
        f"limits changed by the filter ({limits.shipped_limits} before): {limits.override_reason}"
    )


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
