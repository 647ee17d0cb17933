"""The gates, as steps: a closed one fails and ends the run with its reason. Never cached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from zenml import add_tags, get_step_context, log_metadata, step
from zenml.types import MarkdownString

from distillery_core.errors import GateClosed
from distillery_core.stages import gates
from distillery_core.stages.oracles import choose_oracle, oracle_identity
from distillery_core.steps import materializer as _materializer  # noqa: F401  (registers itself)
from distillery_core.steps.project_files import ProjectFiles
from distillery_core.steps.reports import keep_report
from distillery_core.steps.verdict import Permit, Verdict
from distillery_core.steps.waiting import wait_for_approval
from distillery_core.steps.work import Work, open_work, option, say
from distillery_core.types import Level
from distillery_core.verdicts.gate import Expected, GateState


@step(enable_cache=False)
def calibration_gate(
    project: str, filter: str, verdict: Verdict
) -> Annotated[Permit, "calibration_permit"]:
    """Stop a prompt that failed before a second sample is paid for; REVIEW is asked about later."""
    passed = verdict.level is not Level.FAIL
    _record("validation", passed, verdict.word, verdict.reasons or (verdict.deciding,))
    if not passed:
        hint = f"edit the prompt as the report proposes, then run again ({filter})"
        raise GateClosed("validation: the calibration round failed", verdict.reasons, hint=hint)
    return Permit(gate="calibration", filter=filter)


@step(enable_cache=False)
def validation_gate(
    project: str,
    filter: str,
    approvals: str,
    calibration: MarkdownString | None = None,
    validation: MarkdownString | None = None,
    calibration_sample: ProjectFiles | None = None,
    validation_sample: ProjectFiles | None = None,
) -> Annotated[Permit, "validation_permit"]:
    """Open batch labelling if both rounds passed, or a REVIEW was approved.

    Args:
        approvals: hash of the filter's approvals.yaml when the run was started.
        calibration, validation: the run's own reports; without them the project's are judged.
    """
    work = open_work(project, filter)
    _put_back(work, calibration_sample, validation_sample)
    oracle = oracle_identity(
        work.filter, choose_oracle(work.project, work.filter, option("oracle"))
    )
    evidence = gates.calibration_evidence(work.filter, oracle)
    _keep(work, "calibration", calibration, evidence)
    _keep(work, "validation", validation, evidence)
    return _permit(
        *(work, "labelling", "validation"),
        lambda: gates.calibration_gate(work.project, work.filter, oracle),
    )


@step(enable_cache=False)
def evaluation_gate(
    project: str,
    filter: str,
    approvals: str,
    report: MarkdownString,
    dataset: ProjectFiles,
    model: ProjectFiles,
    details: ProjectFiles,
    labelled: ProjectFiles | None = None,
    set_aside: ProjectFiles | None = None,
) -> Annotated[Permit, "evaluation_permit"]:
    """Open promotion if the model may be deployed, or a REVIEW was approved.

    Args:
        approvals: hash of the filter's approvals.yaml when the run was started.
        details, set_aside: side products, put back where they are missing.
    """
    work = open_work(project, filter)
    _put_back(work, labelled, dataset, model)
    _keep(work, "evaluation", report, gates.evaluation_evidence(work.project, work.filter))
    for files in (details, set_aside):
        if files is not None:
            files.fill_in(work.root, say)
    return _permit(
        *(work, "promotion", "evaluation"),
        lambda: gates.evaluation_gate(work.project, work.filter),
    )


def _put_back(work: Work, *artefacts: ProjectFiles | None) -> None:
    """What cached steps had written must lie in the project again before a gate looks at it."""
    for files in artefacts:
        if files is not None:
            files.put_back(work.root, say)


def _keep(
    work: Work, kind: gates.ReportKind, text: MarkdownString | None, evidence: Expected
) -> None:
    if text is not None:
        keep_report(gates.report_path(work.project, work.filter, kind), text, evidence, say)


def _permit(work: Work, what: str, gate: str, ask: Callable[[], GateState]) -> Permit:
    """The permit, or GateClosed; either way step and run carry the reason.

    A REVIEW is waited for as long as the run's `wait_for_approval` says.
    """
    state = wait_for_approval(ask, option("wait_for_approval"), say)
    _record(what, state.open, state.verdict, state.reasons, next_command=state.next_command)
    state.require(what)
    return Permit(gate=gate, filter=work.filter.label)


def _record(what: str, passed: bool, verdict: str, reasons: tuple[str, ...], **more: Any) -> None:
    state = "open" if passed else "closed"
    said = "; ".join(reasons)
    say(f"gate before {what}: {state} ({said})")
    facts = {"gate": state, "before": what, "verdict": verdict or "none", "reason": said, **more}
    log_metadata({name: value for name, value in facts.items() if value})
    if not passed:
        # A gate that said no is no crash: the list of runs tells the two apart by this.
        wanted = "waiting-for-approval" if verdict == "REVIEW" else "gate-closed"
        add_tags(tags=[wanted], run=get_step_context().pipeline_run.id)
