"""The verdict table of a decision as markdown: every line with value, n, interval and limits."""

from __future__ import annotations

from markupsafe import Markup

from distillery_core.reports.markdown import escape, table
from distillery_core.types import Level
from distillery_core.verdicts.criteria import Words
from distillery_core.verdicts.decision import Decision
from distillery_core.verdicts.judgement import LineResult

MARKS = {Level.OK: "✅", Level.REVIEW: "⚠️", Level.FAIL: "❌", Level.NOT_APPLICABLE: "➖"}


def marked(level: Level, words: Words) -> str:
    """A level as mark and word: `✅ PASS`."""
    return f"{MARKS[level]} {words.of(level)}"


def line_table(decision: Decision, words: Words) -> Markup:
    """All lines that apply, in the table's order."""
    header = ("line", "measured", "n", "95 % interval", words.ok, words.fail, "verdict")
    rows = [_row(line, words) for line in decision.lines if line.level is not Level.NOT_APPLICABLE]
    return Markup(table(header, rows, right=(1, 2)))  # noqa: S704  # `table` escapes each cell


def _row(line: LineResult, words: Words) -> tuple[str, ...]:
    return (
        line.title,
        line.value_text,
        "-" if line.measurement.n is None else str(line.measurement.n),
        line.interval_text or "-",
        line.ok_text or "-",
        line.fail_text or "-",
        _verdict(line, words),
    )


def _verdict(line: LineResult, words: Words) -> str:
    if line.insufficient:
        return f"{marked(line.level, words)}: insufficient evidence"
    return marked(line.level, words) + ("" if line.decides else " (does not decide)")


def line_notes(decision: Decision) -> list[Markup]:
    """What the table has no room for: details, want of evidence, a filter's own limits."""
    notes = []
    for line in decision.lines:
        if line.level is Level.NOT_APPLICABLE:
            continue
        said = [line.reason if line.insufficient else "", _plain_note(line), _override(line)]
        text = "; ".join(part for part in dict.fromkeys(said) if part)
        if text:
            notes.append(Markup(f"**{escape(line.title)}**: {escape(text)}"))  # noqa: S704
    return notes


def _plain_note(line: LineResult) -> str:
    note = line.measurement.note
    return "" if note and note in line.reason and line.insufficient else note


def _override(line: LineResult) -> str:
    limits = line.line
    if limits is None or limits.override_reason is None:
        return ""
    return (
        f"limits changed by the filter ({limits.shipped_limits} before): {limits.override_reason}"
    )


def not_applicable_lines(decision: Decision) -> list[Markup]:
    """The lines that do not apply, each with its reason."""
    silent = [line for line in decision.lines if line.level is Level.NOT_APPLICABLE]
    return [Markup(f"{escape(line.title)}: {escape(line.reason)}") for line in silent]  # noqa: S704
