"""What a pull request changes: every changed filter's reports beside those of the base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from distillery_core.errors import DistilleryError, UserError
from distillery_core.filters import Filter, FilterEntry, list_filters, load_filter
from distillery_core.reports.comment import (
    Conclusion,
    FilterReview,
    Moved,
    ReportReview,
    Review,
)
from distillery_core.reports.formatting import duration, fixed, integer, money
from distillery_core.reports.record import Line, line_of
from distillery_core.stages.base_files import Base, base_of
from distillery_core.stages.gates import REPORTS, ReportKind, criteria_for
from distillery_core.stages.project import Project
from distillery_core.stages.report import LEVELS, NAMES, ReportState, report_states
from distillery_core.types import Level
from distillery_core.verdicts.criteria import Criteria
from distillery_core.verdicts.decision import Decision, decide
from distillery_core.verdicts.front_matter import Report, parse_report
from distillery_core.verdicts.judgement import LineResult

_LOOKED_AT = {".md", ".yaml", ".json", ".jsonl", ".j2"}
_LIMITS = ("criteria.yaml", "agent.yaml")
_SHOWN_WORST = 5
_APPROVE = "distillery approve "


def review(project: Project, base: str | None = None, filter: Filter | None = None) -> Review:
    """Judge what differs from a base again, by the evidence that is at hand here.

    Args:
        base: a commit, branch, tag or folder; None takes every filter with a report.
        filter: only this one, changed or not.

    Raises:
        UserError: the base is neither.
    """
    before = base_of(project.root, base)
    limits = tuple(_changed_limits(project, before)) if base is not None else ()
    if filter is not None:
        return Review((_reviewed(project, filter, before),), before.name, limits)
    reviewed = _changed(project, before, everything=base is None or bool(limits))
    return Review(tuple(reviewed), before.name, limits)


def _changed_limits(project: Project, base: Base) -> Iterator[str]:
    """Files of `agents/` that hold limits and differ from the base."""
    folder = project.root / "agents"
    for path in sorted(path for name in _LIMITS for path in folder.glob(f"*/{name}")):
        relative = path.relative_to(project.root).as_posix()
        if base.read(relative) not in (None, path.read_bytes()):
            yield relative


def _changed(project: Project, base: Base, everything: bool) -> Iterator[FilterReview]:
    root = project.root.resolve()
    for entry in list_filters(project.root):
        if not entry.folder.resolve().is_relative_to(root):
            continue
        if not everything and not _differs(project, entry.folder, base):
            continue
        found = _reviewed_at(project, entry, base)
        if found.reports or found.problem:
            yield found


def _reviewed_at(project: Project, entry: FilterEntry, base: Base) -> FilterReview:
    if not entry.error:
        return _reviewed(project, load_filter(entry.folder, entry.origin), base)
    problem = "; ".join(entry.error.splitlines()).replace(f"{project.root}/", "")
    return FilterReview(entry.label, project.relative(entry.folder), problem=problem)


def _differs(project: Project, folder: Path, base: Base) -> bool:
    here = {path.name for path in folder.iterdir() if path.suffix in _LOOKED_AT}
    names = sorted(here | set(REPORTS.values()))
    return any(_content(folder / name) != base.read(_at(project, folder / name)) for name in names)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _at(project: Project, path: Path) -> str:
    return project.relative(path.parent) + f"/{path.name}"


def _reviewed(project: Project, filter: Filter, base: Base) -> FilterReview:
    folder = project.relative(filter.folder)
    try:
        states = report_states(project, filter, absent_is_fine=True)
        gone = _removed(project, filter, base)
        reports = tuple(_report(project, filter, state, base) for state in states)
    except DistilleryError as error:
        return FilterReview(filter.label, folder, problem="; ".join(str(error).splitlines()))
    by_kind = {state.kind: state for state in states}
    return FilterReview(
        label=filter.label,
        folder=folder,
        reports=(*reports, *gone),
        gates=_gates(by_kind),
        cost=tuple(_cost(by_kind)),
    )


def _removed(project: Project, filter: Filter, base: Base) -> list[ReportReview]:
    """Reports that the base has and this checkout has not."""
    found = []
    for kind, name in REPORTS.items():
        path = project.home(filter) / name
        if not path.is_file() and base.read(_at(project, path)) is not None:
            told = ("the report was removed",)
            found.append(ReportReview(NAMES[kind], name, None, "", "failure", besides=told))
    return found


def _report(project: Project, filter: Filter, state: ReportState, base: Base) -> ReportReview:
    criteria = criteria_for(project, filter, state.kind)
    decision = state.state.decision
    conclusion = _conclusion(state)
    made = ReportReview(
        name=NAMES[state.kind],
        file=project.relative(state.path),
        level=LEVELS[state.state.level] if state.state.level is not None else None,
        word=state.state.verdict,
        conclusion=conclusion,
        because=tuple(line_of(line, criteria.words) for line in decision.because)
        if decision
        else (),
        besides=state.besides,
        not_checkable=state.not_checkable,
        meaning=_meaning(state) if conclusion == "action_required" else "",
        command=state.next_command,
        worst=_worst(state),
    )
    before = _before(project, state.path, base)
    if before is None or state.report is None or decision is None:
        return made
    return _compared(made, criteria, decision, before, state.report)


def _conclusion(state: ReportState) -> Conclusion:
    if state.state.open:
        return "success"
    waits = state.state.level is Level.REVIEW and state.next_command.startswith(_APPROVE)
    return "action_required" if waits else "failure"


def _before(project: Project, path: Path, base: Base) -> Report | None:
    """The base's report, None where it has none that is whole."""
    data = base.read(_at(project, path))
    if data is None:
        return None
    try:
        return parse_report(data.decode("utf-8-sig"), path)
    except (UserError, ValueError, RecursionError):
        return None


def _compared(
    made: ReportReview, criteria: Criteria, decision: Decision, before: Report, now: Report
) -> ReportReview:
    """With what moved since the base's report, both decided by today's table."""
    front = before.front
    old = decide(criteria, front.measurements, front.kind, front.lowered)
    known = {line.name: line for line in old.lines}
    pairs = [(known[line.name], line) for line in decision.lines if line.name in known]
    moved = [_moved(*pair, criteria) for pair in pairs if _came_out(pair[0]) != _came_out(pair[1])]
    moved.sort(key=lambda one: one.level_before == one.level_now)
    different = [
        name for name, value in now.front.evidence.items() if front.evidence.get(name) != value
    ]
    return replace(
        made,
        before=old.word,
        moved=tuple(moved),
        unmoved=len(pairs) - len(moved),
        evidence=tuple(name.removesuffix("_sha256").replace("_", " ") for name in different),
    )


def _came_out(line: LineResult) -> tuple[str, Level]:
    return line.value_text, line.level


def _moved(before: LineResult, now: LineResult, criteria: Criteria) -> Moved:
    old, new = line_of(before, criteria.words), line_of(now, criteria.words)
    return Moved(
        title=new.title,
        before=_told(old),
        now=_told(new),
        level_before=old.level,
        level_now=new.level,
        verdict_before=old.word,
        verdict_now=new.word,
        better=_better(before, now),
    )


def _told(line: Line) -> str:
    return line.value_text + (f" ({line.interval_text})" if line.interval_text else "")


def _better(before: LineResult, now: LineResult) -> bool | None:
    """Whether the number moved to where the line wants it."""
    old, new = before.measurement.point, now.measurement.point
    if old is None or new is None or old == new or now.line is None:
        return None
    return (new > old) == now.line.ok_band.upward


def _meaning(state: ReportState) -> str:
    """What somebody who approves takes upon themselves, in one sentence."""
    count = len(state.state.decision.because) if state.state.decision else 0
    although = f"although {count} line{'s ask' if count != 1 else ' asks'} for more (see above)"
    if state.kind != "evaluation":
        rounds = "labelling may begin with this prompt, once the other round lets it too"
        return f"{rounds}, {although}."
    measured = state.report.front.measurements.get("test_mae") if state.report else None
    off = fixed(measured.value if measured else None)
    return f"this model may be put to use, off by {off} of 10 points on average, {although}."


def _gates(states: Mapping[ReportKind, ReportState]) -> dict[str, str]:
    """Both gates, as far as this checkout can tell."""
    rounds: tuple[ReportKind, ...] = ("calibration", "validation")
    return {
        "Labelling": _gate(states, rounds),
        "Promotion": _gate(states, ("evaluation",)),
    }


def _gate(states: Mapping[ReportKind, ReportState], kinds: tuple[ReportKind, ...]) -> str:
    missing = [REPORTS[kind] for kind in kinds if kind not in states]
    found = [states[kind] for kind in kinds if kind in states]
    closed = [
        f"{REPORTS[one.kind]} is {one.state.verdict or 'not whole'}"
        for one in found
        if not one.state.open
    ]
    if missing or closed:
        return "closed: " + ", ".join([*closed, *(f"{name} is missing" for name in missing)])
    absent = sorted({name for one in found for name in one.not_checkable})
    return "open" + (", as far as this checkout can tell" if absent else "")


def _cost(states: Mapping[ReportKind, ReportState]) -> Iterator[str]:
    """Money of the calibration rounds and of what would be labelled next; time of training."""
    last = states.get("validation") or states.get("calibration")
    costs = _shown(last).get("costs")
    if isinstance(costs, dict):
        yield _money_of(costs)
    seconds = _shown(states.get("evaluation")).get("training_seconds")
    if isinstance(seconds, int | float):
        yield f"the model trained for {duration(seconds)}"


def _money_of(costs: Mapping[str, Any]) -> str:
    paid = "" if costs.get("paid") else " (recorded answers, nothing was paid)"
    told = f"calibration so far {money(costs.get('so_far'))}{paid}"
    if costs.get("remaining") is not None:
        rest, price = integer(costs["remaining"]), money(costs.get("the_rest"))
        told += f"; labelling the remaining {rest} articles {price}"
    return told


def _worst(state: ReportState) -> tuple[dict[str, Any], ...]:
    rows = _shown(state).get("worst")
    if not isinstance(rows, list):
        return ()
    wanted = ("title", "labelled", "predicted", "error")
    whole = [row for row in rows if isinstance(row, dict) and all(name in row for name in wanted)]
    return tuple({name: row[name] for name in wanted} for row in whole[:_SHOWN_WORST])


def _shown(state: ReportState | None) -> Mapping[str, Any]:
    return state.record.shown if state is not None and state.record is not None else {}
