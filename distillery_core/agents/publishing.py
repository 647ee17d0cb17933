"""Writes a judged report: decision and context rendered, sealed with its numbers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery_core.agents.advice import next_step, recommendations
from distillery_core.agents.definition import TEMPLATE, Agent
from distillery_core.agents.line_table import (
    line_notes,
    line_table,
    marked,
    not_applicable_lines,
)
from distillery_core.agents.reading import PromptEdit, Read
from distillery_core.filters.filter import Filter
from distillery_core.reports.templates import render_file
from distillery_core.verdicts.criteria import Kind
from distillery_core.verdicts.decision import Decision, Lowered
from distillery_core.verdicts.front_matter import Report, ReportFront, write_report
from distillery_core.verdicts.measurement import Measurement

_DIGITS = 6


@dataclass(frozen=True)
class Judged:
    """A verdict, where its report lies, and what it recommends."""

    decision: Decision
    report_path: Path
    report: Report
    recommendations: tuple[str, ...] = ()

    @property
    def front(self) -> ReportFront:
        """The report's front matter, numbers and all."""
        return self.report.front


@dataclass(frozen=True)
class Evidence:
    """What a verdict was made from, for the front matter.

    Attributes:
        hashes: evidence key -> hash or name, which the gate compares.
        counts: articles by name.
        numbers: all that is printed and is no measurement.
    """

    hashes: Mapping[str, str]
    counts: Mapping[str, int]
    numbers: Mapping[str, Any]


def publish(
    agent: Agent,
    filter: Filter,
    round: str,
    decision: Decision,
    measurements: Mapping[str, Measurement],
    evidence: Evidence,
    read: Read,
    lowered: Lowered | None,
    context: Mapping[str, Any],
    folder: Path,
    kind: Kind = "general",
) -> Judged:
    """Render the agent's template and write the report; the same evidence gives the same bytes.

    Args:
        context: what the template shows beside verdict, table, recommendations and reading.
        folder: the filter's folder in the project.
    """
    words = agent.criteria.words
    facts = {"filter": filter.label, **context}
    advice = recommendations(agent, decision, facts)
    shown = {
        **facts,
        "title": agent.declared.title,
        "round": round,
        "decision": decision,
        "verdict": marked(decision.level, words),
        "line_table": line_table(decision, words),
        "notes": line_notes(decision),
        "not_applicable": not_applicable_lines(decision),
        "recommendations": advice,
        "next_step": next_step(agent, round, decision, facts),
        "reading": read.reading.answer if read.reading else None,
        "edits": [_diff(edit) for edit in read.reading.answer.prompt_edits] if read.reading else [],
        "read_by": read.said,
        "evidence": evidence.hashes,
    }
    front = ReportFront(
        agent=agent.criteria.agent,
        round=round,
        filter=filter.name,
        version=filter.version,
        verdict=decision.word,
        deciding_line=decision.deciding.name,
        kind=kind,
        evidence=dict(evidence.hashes),
        counts=dict(evidence.counts),
        measurements=dict(measurements),
        lowered=lowered,
        numbers={
            **rounded(evidence.numbers),
            "reading": read.reading.to_dict() if read.reading else None,
        },
    )
    path = folder / agent.declared.reports[round]
    report = write_report(path, front, render_file(agent.folder / TEMPLATE, shown))
    return Judged(decision, path, report, tuple(map(str, advice)))


def rounded(value: Any) -> Any:
    """Floats to six decimals throughout, so that no report shows 2.6500000000000004."""
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, Mapping):
        return {name: rounded(child) for name, child in value.items()}
    return [rounded(child) for child in value] if isinstance(value, list | tuple) else value


def _diff(edit: PromptEdit) -> dict[str, str]:
    """A proposed edit as a unified diff."""
    lines = difflib.unified_diff(
        edit.find.splitlines(),
        edit.replace.splitlines(),
        "prompt.md.j2",
        "prompt.md.j2 (proposed)",
        lineterm="",
    )
    return {"why": edit.why, "diff": "\n".join(lines)}
