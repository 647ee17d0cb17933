"""Where every filter of a project stands: stage by stage, gate, money, next command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distillery_core.dataset.judgements import read_people
from distillery_core.dataset.manifest import load_manifest
from distillery_core.errors import DistilleryError
from distillery_core.filters import Filter, list_filters, load_filter
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_report import money
from distillery_core.stages.gates import (
    ReportKind,
    calibration_gate,
    evaluation_gate,
    report_path,
)
from distillery_core.stages.oracles import choose_oracle, oracle_identity
from distillery_core.stages.project import Project
from distillery_core.stages.promote import promoted
from distillery_core.verdicts.front_matter import read_report
from distillery_core.verdicts.gate import GateState


@dataclass(frozen=True, slots=True)
class StageState:
    """One stage of one filter.

    `state` is done, open, closed, missing or broken; `spent_usd` stands on the money line only.
    """

    filter: str
    stage: str
    state: str
    detail: str = ""
    spent_usd: float | None = None
    next_command: str = ""


def status(project: Project) -> list[StageState]:
    """Every stage of every filter that lives in the project."""
    states: list[StageState] = []
    for entry in list_filters(project.root):
        if entry.error:
            states.append(StageState(entry.label, "definition", "broken", entry.error))
        elif entry.folder.resolve().is_relative_to(project.root.resolve()):
            states += _stages(project, load_filter(entry.folder, entry.origin))
    return states


def _stages(project: Project, filter: Filter) -> Iterator[StageState]:
    try:
        yield from _with_oracle(project, filter)
    except DistilleryError as error:
        yield StageState(filter.label, "calibrate", "broken", str(error).splitlines()[0])


def _with_oracle(project: Project, filter: Filter) -> Iterator[StageState]:
    identity = oracle_identity(filter, choose_oracle(project, filter))
    gate = calibration_gate(project, filter, identity)
    yield _money(project, filter)
    yield _round(project, filter, "calibration")
    yield _round(project, filter, "validation")
    yield from _people(project, filter)
    yield _gate(filter, "calibration gate", gate)
    yield _labels(project, filter)
    yield _dataset(project, filter)
    yield _model(project, filter)
    yield _evaluation(project, filter)
    yield _promotion(project, filter)


def _money(project: Project, filter: Filter) -> StageState:
    """What the ledger shows for the filter, over all stages and prompts."""
    if not project.ledger.exists():
        return StageState(filter.label, "money", "none", "nothing was asked yet", 0.0)
    with Ledger.open(project.ledger) as ledger:
        found = money(ledger, filter.label)
    detail = f"${found.spent_usd:.4f}"
    if found.would_have_cost_usd:
        detail += f"; recorded answers would have cost about ${found.would_have_cost_usd:.4f}"
    return StageState(filter.label, "money", "spent", detail, found.spent_usd)


def _round(project: Project, filter: Filter, kind: ReportKind) -> StageState:
    path = report_path(project, filter, kind)
    option = " --validate" if kind == "validation" else ""
    command = f"distillery calibrate --filter {filter.label}{option} --input articles.jsonl"
    if not path.exists():
        return StageState(filter.label, kind, "missing", "", None, command)
    try:
        front = read_report(path).front
    except DistilleryError as error:
        detail = str(error).splitlines()[0]
        return StageState(filter.label, kind, "broken", detail, None, command)
    return StageState(filter.label, kind, "done", front.verdict)


def _people(project: Project, filter: Filter) -> Iterator[StageState]:
    """Who judged articles, where somebody did; unusable lines are told, since they do not count."""
    people = read_people(project.home(filter))
    if not people.latest and not people.problems:
        return
    names = sorted({name for _, name in people.latest})
    detail = f"{len(people.judged)} articles by {', '.join(names)}"
    if people.problems:
        detail += f"; {len(people.problems)} lines cannot be used"
    yield StageState(filter.label, "review", "broken" if people.problems else "done", detail)


def _gate(filter: Filter, stage: str, state: GateState) -> StageState:
    word = "open" if state.open else "closed"
    detail = state.reasons[0] if state.reasons else ""
    return StageState(filter.label, stage, word, detail, None, state.next_command)


def _labels(project: Project, filter: Filter) -> StageState:
    path = project.labelled_path(filter)
    command = f"distillery label --filter {filter.label} --input articles.jsonl"
    if not path.exists():
        return StageState(filter.label, "label", "missing", "", None, command)
    return StageState(filter.label, "label", "done", f"{_lines(path)} articles")


def _dataset(project: Project, filter: Filter) -> StageState:
    command = f"distillery prepare --filter {filter.label}"
    folder = project.training_dir(filter)
    if not folder.is_dir():
        return StageState(filter.label, "prepare", "missing", "", None, command)
    try:
        manifest = load_manifest(folder)
    except DistilleryError as error:
        detail = str(error).splitlines()[0]
        return StageState(filter.label, "prepare", "broken", detail, None, command)
    rows = ", ".join(f"{split.rows} {name}" for name, split in manifest.splits.items())
    return StageState(filter.label, "prepare", "done", f"{rows}; QA {manifest.quality.verdict}")


def _model(project: Project, filter: Filter) -> StageState:
    home = project.home(filter)
    command = f"distillery train --filter {filter.label}"
    if not (home / "model").is_dir():
        return StageState(filter.label, "train", "missing", "", None, command)
    return StageState(filter.label, "train", "done", _val_mae(home))


def _evaluation(project: Project, filter: Filter) -> StageState:
    if report_path(project, filter, "evaluation").exists():
        return _gate(filter, "evaluation gate", evaluation_gate(project, filter))
    command = f"distillery evaluate --filter {filter.label}"
    return StageState(filter.label, "evaluate", "missing", "", None, command)


def _val_mae(home: Path) -> str:
    try:
        metadata = json.loads((home / "training_metadata.json").read_text(encoding="utf-8"))
        return f"validation MAE {float(metadata['best_val_mae']):.3f}"
    except (OSError, ValueError, KeyError, TypeError):
        return "no training record"


def _promotion(project: Project, filter: Filter) -> StageState:
    entry = promoted(project, filter.name)
    if entry is not None and entry.version == filter.version:
        return StageState(filter.label, "promote", "done", f"since {entry.when} by {entry.who}")
    command = f"distillery promote --filter {filter.label}"
    other = f"v{entry.version} is in use" if entry else ""
    return StageState(filter.label, "promote", "missing", other, None, command)


def _lines(path: Path) -> int:
    with path.open("rb") as handle:
        return sum(1 for line in handle if line.strip())
