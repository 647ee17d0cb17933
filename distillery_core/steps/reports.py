"""Reports as markdown artefacts, and back into the project when a cached run needs them there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from zenml.types import MarkdownString

from distillery_core.errors import UserError
from distillery_core.files import write_text
from distillery_core.reports.record import record_of, record_path
from distillery_core.verdicts.front_matter import Report, parse_report, read_report
from distillery_core.verdicts.gate import Expected


def report_text(path: Path) -> MarkdownString:
    """A report as an artefact, rendered by the dashboard."""
    return MarkdownString(path.read_text(encoding="utf-8"))


def keep_report(path: Path, text: str, expected: Expected, say: Callable[[str], None]) -> None:
    """Make sure that the gate finds a report about what the run works with.

    A missing report is written again from the artefact, and so is one about something else (e.g.
    the prompt was changed, calibrated and changed back). One that was edited by hand stays, so
    that its gate closes. One about the same thing stays too: it may be newer.

    Args:
        path: where the gate looks.
        text: the run's own report.
        expected: the evidence that the gate will compare.
    """
    if not path.is_file():
        write_text(path, text)
        _drop_other_record(path)
        say(f"{path.name} was missing and was put back from the run that wrote it")
        return
    there = _whole(path)
    if there is not None and _is_about(there, expected) < _is_about(
        parse_report(text, path), expected
    ):
        write_text(path, text)
        _drop_other_record(path)
        say(f"{path.name} was about other inputs; the report about these was put back")


def _drop_other_record(path: Path) -> None:
    """A record that is not of the report that was put back would only be refused."""
    try:
        record_of(path, read_report(path))
    except UserError:
        record_path(path).unlink(missing_ok=True)


def _whole(path: Path) -> Report | None:
    try:
        return read_report(path)
    except (UserError, ValueError, RecursionError):
        return None


def _is_about(report: Report, expected: Expected) -> bool:
    """Whether a report was made from what is at hand now."""
    evidence = report.front.evidence
    return all(evidence.get(key) == now for key, now in expected.items() if now)
