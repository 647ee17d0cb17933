"""The gates before labelling and before promotion, and the approvals that open a REVIEW."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from distillery_core.agents.people import judged_sha256
from distillery_core.agents.rounds import (
    Asked,
    RoundKind,
    as_they_count,
    pool_identity,
    pool_of,
    read_rounds,
)
from distillery_core.dataset.judgements import read_people
from distillery_core.dataset.manifest import MANIFEST, verify_manifest
from distillery_core.errors import DistilleryError, UserError
from distillery_core.filters import Filter
from distillery_core.reports.record import record_of, record_path
from distillery_core.stages.kept_reports import report_of_oracle
from distillery_core.stages.oracles import choose_oracle, oracle_identity
from distillery_core.stages.project import Project
from distillery_core.verdicts.approvals import FILE_NAME, Approval
from distillery_core.verdicts.approvals import approve as record_approval
from distillery_core.verdicts.criteria import Criteria, load_criteria
from distillery_core.verdicts.front_matter import read_report
from distillery_core.verdicts.gate import GateState, all_open, check_report
from distillery_core.verdicts.overrides import with_overrides

ReportKind = Literal["calibration", "validation", "evaluation"]

REPORTS: Mapping[ReportKind, str] = {
    "calibration": "calibration_report.md",
    "validation": "validation_report.md",
    "evaluation": "model_evaluation.md",
}
AGENTS: Mapping[ReportKind, str] = {
    "calibration": "prompt_calibration",
    "validation": "prompt_calibration",
    "evaluation": "model_evaluation",
}


def criteria_for(project: Project, filter: Filter, kind: ReportKind) -> Criteria:
    """Today's table of a report's agent, with the filter's own limits."""
    table = load_criteria(AGENTS[kind], project.root)
    config = filter.config
    own = config.deployment.criteria if kind == "evaluation" else config.calibration.criteria
    return with_overrides(table, own, filter.folder / "config.yaml").for_round(kind)


def report_path(project: Project, filter: Filter, kind: ReportKind) -> Path:
    """Where a report of this filter lies."""
    return project.home(filter) / REPORTS[kind]


def calibration_gate(project: Project, filter: Filter, oracle: str) -> GateState:
    """Whether batch labelling may start: calibration and validation, for this very prompt.

    Args:
        oracle: identity of the oracle that would label.
    """
    evidence = calibration_evidence(filter, oracle)
    kinds: tuple[RoundKind, ...] = ("calibration", "validation")
    states: dict[str, GateState] = {}
    for kind in kinds:
        pool = _pool_evidence(project, filter, kind, oracle)
        states[kind] = _state_for(project, filter, kind, evidence | pool, oracle)
    return all_open(states)


def evaluation_gate(project: Project, filter: Filter) -> GateState:
    """Whether a model may be promoted: judged on this dataset, these weights, this filter."""
    return _state(project, filter, "evaluation", evaluation_evidence(project, filter))


def calibration_evidence(filter: Filter, oracle: str) -> dict[str, str | None]:
    """What a calibration report must have been made from, as it is now."""
    return {
        "prompt_sha256": filter.prompt_sha256,
        "text_view_sha256": filter.text_view_sha256,
        "dimensions_sha256": filter.dimensions_sha256,
        "scoring_sha256": filter.scoring_sha256,
        "oracle": oracle,
    }


def evaluation_evidence(project: Project, filter: Filter) -> dict[str, str | None]:
    """What an evaluation must have been made from; None for what is not at hand here."""
    return {
        "prompt_sha256": filter.prompt_sha256,
        "text_view_sha256": filter.text_view_sha256,
        "dimensions_sha256": filter.dimensions_sha256,
        "scoring_sha256": filter.scoring_sha256,
        "dataset_sha256": _dataset_sha256(project.training_dir(filter)),
        "model_sha256": _model_sha256(project.home(filter) / "model"),
    }


def evidence_of(
    project: Project, filter: Filter, kind: ReportKind, oracle: str
) -> dict[str, str | None]:
    """What a report of this kind must have been made from, as it is now; None for what is not at
    hand here."""
    if kind == "evaluation":
        return evaluation_evidence(project, filter)
    return calibration_evidence(filter, oracle) | _pool_evidence(project, filter, kind, oracle)


def approve(
    project: Project,
    filter: Filter,
    *,
    report: str,
    who: str,
    why: str,
    expires: str | None = None,
    oracle: str | None = None,
) -> tuple[Approval, Path]:
    """Let a REVIEW through by a person's word.

    Args:
        report: calibration, validation or evaluation, or the report's file name.
        oracle: whose report, where several oracles were calibrated; the one that was last.

    Raises:
        CheckFailed: the verdict is FAIL, which nobody can approve.
        UserError: there is nothing to approve, or no name or reason is given.
    """
    kind = _kind_of(report)
    criteria = criteria_for(project, filter, kind)
    folder = project.home(filter)
    read = _report_of(project, filter, kind, oracle) if oracle else None
    approval = record_approval(
        *(folder, REPORTS[kind], who, why), expires=expires, criteria=criteria, read=read
    )
    return approval, folder / FILE_NAME


def _report_of(project: Project, filter: Filter, kind: ReportKind, oracle: str) -> Path:
    """The report of a named oracle.

    Raises:
        UserError: no such oracle; it has no report, only another one has; evaluations have none.
    """
    current = report_path(project, filter, kind)
    if kind == "evaluation":
        raise UserError("an evaluation is of no oracle", hint="leave --oracle out")
    identity = oracle_identity(filter, choose_oracle(project, filter, oracle))
    path = report_of_oracle(current, kind, identity, calibration_evidence(filter, identity))
    found = read_report(path).front.evidence.get("oracle")
    if found != identity:
        what = f"no {kind} report of {identity}, only of {found}"
        validate = " --validate" if kind == "validation" else ""
        hint = f"distillery calibrate --filter {filter.label} --oracle {oracle}{validate}"
        raise UserError(what, where=path, hint=hint)
    return path


def _state_for(
    project: Project,
    filter: Filter,
    kind: ReportKind,
    evidence: Mapping[str, str | None],
    oracle: str,
) -> GateState:
    """The state of an oracle's own report, which lies among the kept ones where another oracle was
    calibrated since; approvals stay beside the filter."""
    current = report_path(project, filter, kind)
    path = report_of_oracle(current, kind, oracle, evidence)
    criteria = criteria_for(project, filter, kind)
    state = check_report(path, criteria, evidence, current.parent, name=current.name)
    state = _with_its_record(state, path, criteria)
    # What to run next is said of the filter's folder, wherever its report lies, and of this oracle.
    there, here = path.parent.as_posix(), current.parent.as_posix()
    command = state.next_command.replace(there, here)
    name = oracle.partition("/")[0]
    if command and name != filter.config.oracle.name:
        command += f" --oracle {name}"
    return replace(state, next_command=command)


def _state(
    project: Project, filter: Filter, kind: ReportKind, evidence: Mapping[str, str | None]
) -> GateState:
    path, criteria = report_path(project, filter, kind), criteria_for(project, filter, kind)
    return _with_its_record(check_report(path, criteria, evidence), path, criteria)


def _with_its_record(state: GateState, path: Path, criteria: Criteria) -> GateState:
    """Closed where the record beside an open report is not the one it was rendered from: pages and
    comments would refuse it. A report that was put back from its artefact has none."""
    if not state.open or not record_path(path).exists():
        return state
    try:
        record_of(path, read_report(path))
    except UserError as error:
        command = criteria.commands.get(criteria.round or "", "")
        again = command.replace("{folder}", shlex.quote(path.parent.as_posix()))
        told = (f"{record_path(path).name}: {error.what}",)
        return replace(state, open=False, reasons=told, next_command=again, approval=None)
    return state


def _pool_evidence(
    project: Project, filter: Filter, kind: RoundKind, oracle: str
) -> dict[str, str | None]:
    """Which samples a report has to rest on: all of this kind that were asked the same way; and
    the classes that people gave to their articles.

    A report that leaves one out (a seed that came out badly) differs, and so does a validation
    whose result was followed by another prompt: its sample counts as calibration from then on.
    """
    home, asked = project.home(filter), Asked.of(filter, oracle)
    rounds = as_they_count(read_rounds(home), filter.prompt_sha256)
    if not rounds:
        return {"pool_sha256": None, "judgements_sha256": None}
    return {
        "pool_sha256": pool_identity(pool_of(rounds, kind, asked)),
        "judgements_sha256": judged_sha256(read_people(home), rounds, kind, asked),
    }


def _kind_of(report: str) -> ReportKind:
    for kind, name in REPORTS.items():
        if report in (kind, name, name.removesuffix(".md")):
            return kind
    raise UserError(f"no report {report!r}", hint=f"one of {', '.join(REPORTS)}")


def _dataset_sha256(folder: Path) -> str | None:
    """The dataset's hash; that of the manifest alone would miss a split that was edited."""
    if not (folder / MANIFEST).is_file():
        return None
    try:
        return verify_manifest(folder).dataset_sha256
    except DistilleryError:
        return "changed since its manifest was written"


def _model_sha256(folder: Path) -> str | None:
    if not (folder / "model.safetensors").is_file():
        return None
    from distillery_core.student.model_folder import model_sha256

    return model_sha256(folder)
