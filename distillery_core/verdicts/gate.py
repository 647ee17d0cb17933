"""The gate: reads a report again, compares its evidence, decides again, and opens or stays closed.

It finds mistakes and stale files, not a forger who rewrites everything and its hashes: for that
there is the review of the pull request.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distillery_core.errors import GateClosed, UserError
from distillery_core.files import now_utc
from distillery_core.types import Level
from distillery_core.verdicts.approvals import Approval, read_approvals
from distillery_core.verdicts.criteria import Criteria
from distillery_core.verdicts.decision import Decision, decide
from distillery_core.verdicts.front_matter import Report, ReportFront, read_report

Expected = Mapping[str, str | None]
"""Evidence key -> its value now; None where it is not at hand here."""

_SHOWN = 12
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class GateState:
    """Whether work may go on, and if not, why and what to do.

    Attributes:
        open: whether it may.
        level: of the verdict decided again today; None where no whole report was found.
        verdict: its word; empty where there is none.
        reasons: why the gate is closed, or what opened it.
        not_checkable: evidence that is not at hand here; it keeps the gate closed.
        next_command: what to run next; empty for an open gate.
        decision: every line as decided today, None where no whole report was found.
        approval: the approval that opened a REVIEW.
    """

    open: bool
    level: Level | None
    reasons: tuple[str, ...]
    next_command: str = ""
    not_checkable: tuple[str, ...] = ()
    verdict: str = ""
    decision: Decision | None = None
    approval: Approval | None = None

    def require(self, what: str) -> None:
        """Raise `GateClosed` unless the gate is open.

        Args:
            what: what waits behind it, e.g. "labelling".
        """
        if not self.open:
            raise GateClosed(f"{what}: the gate is closed", self.reasons, hint=self.next_command)


def check_report(
    report_path: Path,
    criteria: Criteria,
    expected: Expected,
    approvals: Path | None = None,
    *,
    name: str | None = None,
    today: str | None = None,
) -> GateState:
    """The state of the gate behind one report. Never raises because of a file's content.

    Args:
        report_path: the report, in its filter's folder.
        criteria: today's table with the filter's overrides; of one round (`for_round`), which the
            report must then be of.
        expected: evidence to compare, all of it must be equal; an empty mapping keeps it closed.
        approvals: the folder of approvals.yaml; the report's own by default.
        name: what approvals call the report, where a copy of it is looked at; its file name.
        today: the day as YYYY-MM-DD, for tests; now (UTC).
    """
    folder = report_path.parent
    again = _run_again(criteria, folder)
    try:
        report = read_report(report_path)
        problem = _other_report(report.front, criteria)
    except (UserError, ValueError, RecursionError) as error:
        return GateState(False, None, (_one_line(error),), again)
    if problem:
        return GateState(False, None, (f"{report_path.name}: {problem}",), again)
    missing, different = _compare(report.front.evidence, expected)
    decision = _decide_again(report.front, criteria)
    if report.front.verdict != decision.word:
        different.append(
            f"verdict: the report says {report.front.verdict}, decided again today it is "
            f"{decision.word} ({decision.deciding.title}: {decision.deciding.reason})"
        )
    if different or decision.level is Level.FAIL:
        command = again if different else _mend(criteria, folder) or again
        return _closed(decision, [*different, *_failing(decision)], missing, command)
    if missing:
        check = f"distillery gate check {_quoted(folder)}"
        return _closed(decision, [], missing, check)
    if decision.level is Level.REVIEW:
        day = today or now_utc()[:10]
        known_as = report_path.with_name(name or report_path.name)
        return _with_approval(report, known_as, decision, approvals or folder, day)
    return GateState(
        True, Level.OK, (f"{report_path.name}: {decision.word}",), "", (), decision.word, decision
    )


def all_open(states: Mapping[str, GateState]) -> GateState:
    """One gate out of several, e.g. calibration and validation: open if all of them are.

    The level is the worst one, None if a report is missing; the next command is that of the first
    closed gate. No gates at all are closed.
    """
    closed = [state for state in states.values() if not state.open]
    levels = [state.level for state in states.values()]
    known = [level for level in levels if level is not None]
    worst = next((state for state in states.values() if known and state.level is max(known)), None)
    return GateState(
        open=bool(states) and not closed,
        level=max(known) if known and None not in levels else None,
        reasons=_named(states) or ("no report was asked for",),
        next_command=closed[0].next_command if closed else "",
        not_checkable=tuple(dict.fromkeys(key for s in states.values() for key in s.not_checkable)),
        verdict=worst.verdict if worst and None not in levels else "",
        decision=worst.decision if worst else None,
    )


def _named(states: Mapping[str, GateState]) -> tuple[str, ...]:
    """The reasons of the closed gates, or of all where all are open."""
    chosen = {name: state for name, state in states.items() if not state.open} or states
    return tuple(f"{name}: {reason}" for name, state in chosen.items() for reason in state.reasons)


def _other_report(front: ReportFront, criteria: Criteria) -> str:
    """Why this is not the report that the gate asks for, e.g. a copy of the other round's."""
    if front.agent != criteria.agent:
        return f"is a report of {front.agent}, not of {criteria.agent}"
    if criteria.round is not None and front.round != criteria.round:
        return f"is a report of the {front.round} round, not of the {criteria.round} round"
    if front.round not in criteria.commands:
        return f"{criteria.agent} has no round {front.round!r}"
    return ""


def _decide_again(front: ReportFront, criteria: Criteria) -> Decision:
    table = criteria if criteria.round else criteria.for_round(front.round)
    return decide(table, front.measurements, front.kind, front.lowered)


def _compare(evidence: Mapping[str, str], expected: Expected) -> tuple[list[str], list[str]]:
    """Keys that cannot be compared here, and a sentence for each that differs."""
    missing = [key for key, now in expected.items() if not now]
    different = [] if expected else ["nothing was compared with the report's evidence"]
    for key, now in expected.items():
        then = evidence.get(key, "")
        if now and now != then:
            was, is_now = _shown(then) or "nothing", _shown(now)
            different.append(f"{key}: the report was made from {was}, now it is {is_now}")
    return missing, different


def _shown(value: str) -> str:
    """A hash shortened; a name, such as the oracle's, whole."""
    return value[:_SHOWN] if _HASH.fullmatch(value) else value


def _failing(decision: Decision) -> list[str]:
    if decision.level is not Level.FAIL:
        return []
    return [f"{decision.word}: {line.title}: {line.reason}" for line in decision.because]


def _closed(decision: Decision, reasons: list[str], missing: list[str], command: str) -> GateState:
    absent = [f"{key}: not checkable here" for key in missing]
    return GateState(
        open=False,
        level=decision.level,
        reasons=(*reasons, *absent),
        next_command=command,
        not_checkable=tuple(missing),
        verdict=decision.word,
        decision=decision,
    )


def _with_approval(
    report: Report, path: Path, decision: Decision, folder: Path, today: str
) -> GateState:
    """A REVIEW: open only with a valid approval."""
    command = f'distillery approve --filter {_quoted(path.parent)} --report {path.name} --why "..."'
    lines = [f"{decision.word}: {line.title}: {line.reason}" for line in decision.because]
    try:
        found = read_approvals(folder)
    except (UserError, ValueError, RecursionError) as error:
        return _closed(decision, [*lines, _one_line(error)], [], command)
    voids = [(entry, entry.void(path.name, report.sha256, today)) for entry in found]
    for entry, void in voids:
        if not void:
            reason = f"{path.name}: {decision.word}, approved by {entry.who}: {entry.why}"
            return GateState(True, Level.REVIEW, (reason,), "", (), decision.word, decision, entry)
    mine = [(entry, void) for entry, void in voids if entry.report == path.name]
    told = [f"the approval of {entry.who} is void: {void}" for entry, void in mine]
    return _closed(decision, [*lines, *(told or ["no approval"])], [], command)


def _run_again(criteria: Criteria, folder: Path) -> str:
    """The command that writes the report anew."""
    command = criteria.commands.get(criteria.round or "") or next(iter(criteria.commands.values()))
    return command.replace("{folder}", _quoted(folder))


def _mend(criteria: Criteria, folder: Path) -> str:
    """What to do after a FAIL, since the same command again would only say FAIL again."""
    return criteria.mend.get(criteria.round or "", "").replace("{folder}", _quoted(folder))


def _quoted(folder: Path) -> str:
    return shlex.quote(folder.as_posix())


def _one_line(error: Exception) -> str:
    text = error.what if isinstance(error, UserError) and not error.where else str(error)
    return " ".join(text.split("\n  ->")[0].split())
