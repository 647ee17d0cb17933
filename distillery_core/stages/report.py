"""The reports of a filter as they stand: whole or not, open or closed, and as one HTML page."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from distillery_core.errors import UserError
from distillery_core.files import write_text
from distillery_core.filters import Filter, list_filters, load_filter
from distillery_core.reports.page import Shown, render_page
from distillery_core.reports.record import HASH, LevelName, Record, record_of, record_path
from distillery_core.stages.gates import REPORTS, ReportKind, criteria_for, evidence_of, report_path
from distillery_core.stages.oracles import choose_oracle, oracle_identity
from distillery_core.stages.project import Project
from distillery_core.types import Level
from distillery_core.verdicts.front_matter import Report, read_report
from distillery_core.verdicts.gate import GateState, check_report

PAGE = "report.html"

NAMES: dict[ReportKind, str] = {
    "evaluation": "Model evaluation",
    "validation": "Prompt calibration, validation",
    "calibration": "Prompt calibration",
}
"""Reports by name, in the order a reader wants them: the model first, then what it rests on."""

LEVELS: dict[Level, LevelName] = {
    Level.OK: "OK",
    Level.REVIEW: "REVIEW",
    Level.FAIL: "FAIL",
}


_OF_THE_ORACLE = ("oracle", "pool_sha256", "judgements_sha256")
"""Evidence that cannot be compared where the oracle's entry is not at hand."""


@dataclass(frozen=True)
class ReportState:
    """One report on disk and what the gate says of it.

    Attributes:
        filter: its label.
        state: of the gate behind this report alone.
        report: None where the file is not whole.
        record: None where the report is not whole, or there is none: a run that puts a report back
            from its artefact has none to put back.
        not_checkable: evidence that is not at hand here.
    """

    filter: str
    kind: ReportKind
    path: Path
    state: GateState
    report: Report | None
    record: Record | None
    not_checkable: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether report and record are as they were written."""
        return self.state.level is not None

    @property
    def deciding(self) -> str:
        """The line that decided, with its reason."""
        decision = self.state.decision
        return f"{decision.deciding.title}: {decision.deciding.reason}" if decision else ""

    @property
    def besides(self) -> tuple[str, ...]:
        """What the gate says beside the lines of the table, which stand in the report."""
        word = self.state.verdict
        if not word:
            return self.state.reasons
        plain = f"{self.path.name}: {word}"
        told = (one for one in self.state.reasons if not one.startswith(f"{word}: "))
        return (*(one for one in told if one != plain), *self._without_record)

    @property
    def _without_record(self) -> tuple[str, ...]:
        if self.record or not self.report or HASH not in self.report.front.numbers:
            return ()
        return (f"{record_path(self.path).name} is missing, so less is shown than the report has",)

    @property
    def next_command(self) -> str:
        """What to run next, the filter by its name and not by a folder of this machine."""
        folder = shlex.quote(self.path.parent.as_posix())
        inside = f"filters/{self.path.parent.parent.name}/{self.path.parent.name}/"
        command = self.state.next_command.replace(f"{folder}/", inside)
        return command.replace(folder, self.filter)


def report_states(
    project: Project, filter: Filter, *, absent_is_fine: bool = False
) -> list[ReportState]:
    """Every report that lies beside the filter.

    Args:
        absent_is_fine: judge by the evidence that is at hand here, as a checkout without dataset
            and model has to; `not_checkable` names the rest. Without it a report whose evidence is
            absent is closed, as for the gate.
    """
    kinds = [kind for kind in NAMES if report_path(project, filter, kind).is_file()]
    oracle = _oracle(project, filter)
    return [_state(project, filter, kind, oracle, absent_is_fine) for kind in kinds]


def filters_with_reports(project: Project) -> list[Filter]:
    """The filters that live in the project and have a report.

    Raises:
        UserError: one of them cannot be read.
    """
    root = project.root.resolve()
    found = []
    for entry in list_filters(project.root):
        lies_here = entry.folder.resolve().is_relative_to(root)
        if lies_here and any((entry.folder / name).is_file() for name in REPORTS.values()):
            found.append(load_filter(entry.folder, entry.origin))
    return found


def only_filter(project: Project) -> Filter:
    """The one filter with reports, where none was named.

    Raises:
        UserError: there is none, or more than one.
    """
    found = filters_with_reports(project)
    if not found:
        hint = "distillery calibrate, distillery evaluate"
        raise UserError("no filter has a report yet", where=project.root, hint=hint)
    if len(found) > 1:
        names = ", ".join(filter.label for filter in found)
        raise UserError(f"several filters have reports: {names}", hint="name one with --filter")
    return found[0]


def write_page(project: Project, filter: Filter, output: Path | None = None) -> Path:
    """Write the HTML page of a filter's reports; by default beside its side products.

    Raises:
        UserError: it has no report.
    """
    states = report_states(project, filter)
    if not states:
        command = f"distillery calibrate --filter {filter.label}"
        where = project.home(filter)
        raise UserError(f"{filter.label} has no report yet", where=where, hint=command)
    path = output or project.reports_dir(filter) / PAGE
    write_text(path, render_page(filter.label, [_shown(state) for state in states]))
    return path


def _oracle(project: Project, filter: Filter) -> str | None:
    """The oracle's identity; None where its entry is not in this project."""
    try:
        return oracle_identity(filter, choose_oracle(project, filter))
    except UserError:
        return None


def _state(
    project: Project, filter: Filter, kind: ReportKind, oracle: str | None, absent_is_fine: bool
) -> ReportState:
    path = report_path(project, filter, kind)
    expected = evidence_of(project, filter, kind, oracle or "")
    if oracle is None:
        expected |= dict.fromkeys(name for name in _OF_THE_ORACLE if name in expected)
    absent = tuple(name for name, value in expected.items() if value is None)
    if absent_is_fine:
        expected = {name: value for name, value in expected.items() if value is not None}
    state = check_report(path, criteria_for(project, filter, kind), expected)
    state = replace(state, reasons=tuple(_here(project, one) for one in state.reasons))
    if state.level is None:
        return ReportState(filter.label, kind, path, state, None, None, absent)
    report = read_report(path)
    if not record_path(path).exists():
        return ReportState(filter.label, kind, path, state, report, None, absent)
    try:
        record = record_of(path, report)
    except UserError as error:
        reasons = (_here(project, f"{error.where}: {error.what}"),)
        broken = GateState(open=False, level=None, reasons=reasons, next_command=state.next_command)
        return ReportState(filter.label, kind, path, broken, None, None, absent)
    return ReportState(filter.label, kind, path, state, report, record, absent)


def _here(project: Project, text: str) -> str:
    """A reason with paths as they are in the project: it is read on other machines."""
    return text.replace(f"{project.root.as_posix()}/", "")


_NOBODY = "nobody can approve this verdict"
_PASSED = "every line is within its limits"


def _shown(found: ReportState) -> Shown:
    state = found.state
    return Shown(
        name=NAMES[found.kind],
        path=found.path,
        level=None if state.level is None else LEVELS[state.level],
        word=state.verdict,
        deciding=found.deciding or "not whole: see below",
        open=state.open,
        gate=found.besides or (_PASSED if state.open else _NOBODY,),
        command=found.next_command,
        body=found.report.body if found.report else "",
        record=found.record,
    )
