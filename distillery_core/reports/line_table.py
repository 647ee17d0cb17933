"""The verdict table of a record as markdown: every line with value, n, interval and limits."""

from __future__ import annotations

from markupsafe import Markup

from distillery_core.reports.markdown import escape, table
from distillery_core.reports.record import LevelName, Line, Record

MARKS: dict[LevelName, str] = {"OK": "✅", "REVIEW": "⚠️", "FAIL": "❌", "NOT_APPLICABLE": "➖"}
NOT_APPLICABLE = "NOT_APPLICABLE"


def marked(level: LevelName, word: str) -> str:
    """A level as mark and word: `✅ PASS`."""
    return f"{MARKS[level]} {word}"


def line_table(record: Record) -> Markup:
    """All lines that apply, in the table's order."""
    words = record.words
    header = ("line", "measured", "n", "95 % interval", words.ok, words.fail, "verdict")
    rows = [_row(line) for line in record.decision.lines if line.level != NOT_APPLICABLE]
    return Markup(table(header, rows, right=(1, 2)))  # noqa: S704  # `table` escapes each cell


def _row(line: Line) -> tuple[str, ...]:
    return (
        line.title,
        line.value_text,
        "-" if line.measurement.n is None else str(line.measurement.n),
        line.interval_text or "-",
        line.ok_text or "-",
        line.fail_text or "-",
        _verdict(line),
    )


def _verdict(line: Line) -> str:
    if line.insufficient:
        return f"{marked(line.level, line.word)}: insufficient evidence"
    return marked(line.level, line.word) + ("" if line.decides else " (does not decide)")


def line_notes(record: Record) -> list[Markup]:
    """What the table has no room for: details, want of evidence, a filter's own limits."""
    notes = []
    for line in record.decision.lines:
        if line.level == NOT_APPLICABLE:
            continue
        said = [line.reason if line.insufficient else "", _plain_note(line), line.changed_limits]
        text = "; ".join(part for part in dict.fromkeys(said) if part)
        if text:
            notes.append(Markup(f"**{escape(line.title)}**: {escape(text)}"))  # noqa: S704
    return notes


def _plain_note(line: Line) -> str:
    note = line.measurement.note
    return "" if note and note in line.reason and line.insufficient else note


def not_applicable_lines(record: Record) -> list[Markup]:
    """The lines that do not apply, each with its reason."""
    silent = [line for line in record.decision.lines if line.level == NOT_APPLICABLE]
    return [Markup(f"{escape(line.title)}: {escape(line.reason)}") for line in silent]  # noqa: S704
