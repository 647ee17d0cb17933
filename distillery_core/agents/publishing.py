"""Writes a judged report: its record as JSON, and the markdown of it, sealed with the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery_core.agents.advice import next_step, recommendations
from distillery_core.agents.definition import TEMPLATE, Agent
from distillery_core.agents.reading import Read
from distillery_core.filters.filter import Filter
from distillery_core.reports.facts import facts
from distillery_core.reports.record import (
    HASH,
    LoweredTo,
    Record,
    measured_of,
    read_record,
    record_path,
    verdict_of,
    write_record,
)
from distillery_core.reports.rendering import render_record
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
    """Write the record and the report that its template makes of it.

    The same evidence gives the same bytes.

    Args:
        context: what the template shows beside verdict, table, recommendations and reading: values
            that `reports.facts` can turn into JSON.
        folder: the filter's folder in the project.
    """
    record = _record(agent, filter, round, decision, measurements, evidence, read, context, kind)
    record = record.model_copy(update={"lowered": _lowered_to(decision, lowered)})
    front = ReportFront(
        agent=record.agent,
        round=record.round,
        filter=filter.name,
        version=filter.version,
        verdict=decision.word,
        deciding_line=decision.deciding.name,
        kind=kind,
        evidence=record.evidence,
        counts=record.counts,
        measurements=dict(measurements),
        lowered=lowered,
        numbers={
            **rounded(evidence.numbers),
            "reading": record.reading,
            HASH: record.sha256,
        },
    )
    path = folder / agent.declared.reports[round]
    report = _write(path, record, front, agent.folder / TEMPLATE)
    return Judged(decision, path, report, record.recommendations)


def _record(
    agent: Agent,
    filter: Filter,
    round: str,
    decision: Decision,
    measurements: Mapping[str, Measurement],
    evidence: Evidence,
    read: Read,
    context: Mapping[str, Any],
    kind: Kind,
) -> Record:
    known = {"filter": filter.label, **context}
    return Record(
        agent=agent.criteria.agent,
        round=round,
        title=agent.declared.title,
        filter=filter.label,
        name=filter.name,
        version=filter.version,
        kind=kind,
        words=agent.criteria.words,
        decision=verdict_of(decision, agent.criteria.words),
        measurements={name: measured_of(one) for name, one in measurements.items()},
        evidence=dict(evidence.hashes),
        counts=dict(evidence.counts),
        recommendations=tuple(map(str, recommendations(agent, decision, known))),
        next_step=str(next_step(agent, round, decision, known)),
        reading=read.reading.to_dict() if read.reading else None,
        read_by=read.said,
        lowered=None,
        shown=facts({name: value for name, value in context.items() if name not in _ELSEWHERE}),
    )


_ELSEWHERE = {"measured", "kind"}
"""What the template sees of the record's own fields."""


def _lowered_to(decision: Decision, lowered: Lowered | None) -> LoweredTo | None:
    if lowered is None or decision.level <= decision.computed:
        return None
    return LoweredTo.model_validate(lowered.to_dict())


def _write(path: Path, record: Record, front: ReportFront, template: Path) -> Report:
    """The record, then the report, rendered from what was read back."""
    render_record(record, template)  # a broken template must not leave a record without its report
    write_record(record_path(path), record)
    return write_report(path, front, render_record(read_record(record_path(path)), template))


def rounded(value: Any) -> Any:
    """Floats to six decimals throughout, so that no report shows 2.6500000000000004."""
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, Mapping):
        return {name: rounded(child) for name, child in value.items()}
    return [rounded(child) for child in value] if isinstance(value, list | tuple) else value
