"""No sequence of edits opens a gate whose evidence does not match.

A machine edits the files of a real, small project: prompt, config, data, model, record, reports and
approvals; it swaps reports, puts files back, approves, and asks both gates after every step. What a
gate rests on is a list of files here, written down apart from the product's own hashes: a gate that
is open while one of them differs from what was judged is wrong.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from distillery_core.errors import DistilleryError
from distillery_core.files import sha256_text
from distillery_core.filters import resolve_filter
from distillery_core.stages import gates
from distillery_core.stages.oracles import choose_oracle, oracle_identity
from distillery_core.stages.project import Project
from distillery_core.types import Level
from distillery_core.verdicts import GateState

HOME = "filters/crisis/v1"
DATA = "datasets/training/crisis"
DEFINITION = (f"{HOME}/config.yaml", f"{HOME}/prompt.md.j2")
CALIBRATION = (
    *DEFINITION,
    f"{HOME}/calibration_report.md",
    f"{HOME}/validation_report.md",
)
RECORDS = tuple(
    f"{HOME}/{name}.json"
    for name in ("calibration_report", "validation_report", "model_evaluation")
)
"""What reports are rendered from; one that is absent closes nothing, one that differs does."""

EVALUATION = (
    *DEFINITION,
    f"{DATA}/train.jsonl",
    f"{DATA}/val.jsonl",
    f"{DATA}/test.jsonl",
    f"{HOME}/model/model.safetensors",
    f"{HOME}/model/config.json",
    f"{HOME}/model/distillery.json",
    f"{HOME}/model_evaluation.md",
)
APPROVALS = f"{HOME}/approvals.yaml"
CONFIG = f"{HOME}/config.yaml"
SECTIONS = {
    CALIBRATION: ("filter", "text", "scoring", "oracle", "calibration"),
    EVALUATION: ("filter", "text", "scoring", "deployment"),
}
"""What of the config a gate rests on; the rest may change."""
REPORTS = [name for name in (*CALIBRATION, *EVALUATION) if name.endswith(".md")]
EDITED = sorted({*CALIBRATION, *EVALUATION, *RECORDS} - {f"{HOME}/config.yaml"})
SWAPS = {
    "REVIEW": "PASS",
    "FAIL": "PASS",
    "value: 0.": "value: 1.",
    "crisis": "other",
    "Ada": "Eve",
    "read it": "did not",
    "on_topic_at": "severe_at",
}
CONFIG_EDITS = {
    "temperature: 0.0": "temperature: 0.4",
    "max_chars: ": "max_chars: 1",
    "weight: 0.": "weight: 0.0",
    'fail: "> 9"': 'fail: "> 0.01"',
}


class Edits(RuleBasedStateMachine):
    """Edits of a project's files in any order."""

    root: Path
    start: Path
    calibration: Asked
    evaluation: Asked

    def __init__(self) -> None:
        super().__init__()
        for name in (*CALIBRATION, *EVALUATION, *RECORDS, APPROVALS):
            self._restore(name)
        self.approved: set[str] = {f"{HOME}/validation_report.md"}
        self.tampered = False

    @property
    def _both(self) -> tuple[Path, Path]:
        return self.root, self.start

    def _path(self, name: str) -> Path:
        return self.root / name

    def _restore(self, name: str) -> None:
        source = self.start / name
        if source.is_file():
            self._path(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, self._path(name))
        else:
            self._path(name).unlink(missing_ok=True)

    def _same(self, name: str) -> bool:
        path = self._path(name)
        return path.is_file() and path.read_bytes() == (self.start / name).read_bytes()

    def _as_judged(self, name: str) -> bool:
        """A record says the same, whatever its spacing."""
        now, judged = (json.loads((folder / name).read_bytes()) for folder in self._both)
        return bool(now == judged)

    @rule(name=st.sampled_from(EDITED), at=st.integers(0, 10**6), byte=st.integers(0, 255))
    def edit_a_byte(self, name: str, at: int, byte: int) -> None:
        data = bytearray(self._path(name).read_bytes()) if self._path(name).is_file() else None
        if data:
            data[at % len(data)] = byte
            self._path(name).write_bytes(bytes(data))

    @rule(name=st.sampled_from([*REPORTS, APPROVALS]), old=st.sampled_from(sorted(SWAPS)))
    def edit_on_purpose(self, name: str, old: str) -> None:
        path = self._path(name)
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        if old in text:
            path.write_text(text.replace(old, SWAPS[old]), encoding="utf-8")
            self.tampered |= name == APPROVALS

    @rule(old=st.sampled_from(sorted(CONFIG_EDITS)))
    def edit_the_config(self, old: str) -> None:
        path = self._path(f"{HOME}/config.yaml")
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(old, CONFIG_EDITS[old], 1), encoding="utf-8")

    @rule(name=st.sampled_from(EDITED), other=st.sampled_from(REPORTS))
    def put_a_report_in_another_place(self, name: str, other: str) -> None:
        if self._path(other).is_file():
            data = self._path(other).read_bytes()
            self._path(name).write_bytes(data)

    @rule(name=st.sampled_from([*EDITED, APPROVALS]))
    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)
        if name == APPROVALS:
            self.approved.clear()
            self.tampered = False

    @rule(name=st.sampled_from([*EDITED, f"{HOME}/config.yaml"]))
    def put_back(self, name: str) -> None:
        self._restore(name)

    @precondition(lambda self: not self.tampered)
    @rule(kind=st.sampled_from(["calibration", "validation", "evaluation"]))
    def approve(self, kind: gates.ReportKind) -> None:
        project = Project(self.root)
        try:
            chosen = resolve_filter("crisis", self.root)
            gates.approve(project, chosen, report=kind, who="Ada", why="read it")
        except DistilleryError:
            return
        name = f"{HOME}/{gates.REPORTS[kind]}"
        if self._same(name):
            self.approved.add(name)

    @invariant()
    def an_open_gate_rests_on_what_was_judged(self) -> None:
        calibration, evaluation = self.calibration(), self.evaluation()
        if calibration.open:
            self._rests_on(calibration, CALIBRATION, f"{HOME}/validation_report.md")
        if evaluation.open:
            self._rests_on(evaluation, EVALUATION, f"{HOME}/model_evaluation.md")

    def _rests_on(self, state: GateState, names: tuple[str, ...], reviewed: str) -> None:
        assert [name for name in names if name != CONFIG and not self._same(name)] == []
        for name in (one.replace(".md", ".json") for one in names if one.endswith(".md")):
            assert not self._path(name).is_file() or self._as_judged(name)
        now, judged = (yaml.safe_load((folder / CONFIG).read_bytes()) for folder in self._both)
        assert {one: now.get(one) for one in SECTIONS[names]} == {
            one: judged.get(one) for one in SECTIONS[names]
        }
        assert state.level is not Level.FAIL
        if state.level is Level.REVIEW:
            assert reviewed in self.approved


CLOSED = GateState(False, None, ("the filter cannot be read",))
Gate = Callable[[Project], GateState]


def calibration_gate(project: Project) -> GateState:
    chosen = resolve_filter("crisis", project.root)
    identity = oracle_identity(chosen, choose_oracle(project, chosen))
    return gates.calibration_gate(project, chosen, identity)


def evaluation_gate(project: Project) -> GateState:
    return gates.evaluation_gate(project, resolve_filter("crisis", project.root))


def state_of(gate: Gate, root: Path) -> GateState:
    """A gate as it is now; a filter that cannot be read opens none."""
    try:
        return gate(Project(root))
    except DistilleryError:
        return CLOSED


@dataclass
class Asked:
    """Asks a gate again only where a file that it may look at has changed."""

    gate: Gate
    root: Path
    names: tuple[str, ...]
    known: dict[str, GateState] = field(default_factory=dict)

    def __call__(self) -> GateState:
        paths = [self.root / name for name in (*self.names, *RECORDS, APPROVALS)]
        held = [path.read_bytes() if path.is_file() else None for path in paths]
        key = sha256_text(repr(held))
        if key not in self.known:
            self.known[key] = state_of(self.gate, self.root)
        return self.known[key]


@pytest.fixture(scope="module")
def approved_once(tmp_path_factory: pytest.TempPathFactory, judged_once: Path) -> Path:
    """The judged project as it stands, which every edit is compared with."""
    root = tmp_path_factory.mktemp("edits") / "start"
    shutil.copytree(judged_once, root)
    return root


def test_both_gates_can_open_here(approved_once: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(approved_once, root)
    assert state_of(calibration_gate, root).open
    assert not state_of(evaluation_gate, root).open
    chosen = resolve_filter("crisis", root)
    gates.approve(Project(root), chosen, report="evaluation", who="Ada", why="read it")
    state = state_of(evaluation_gate, root)
    assert state.open, state.reasons


def test_a_record_that_was_changed_closes_the_gate(approved_once: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(approved_once, root)
    chosen = resolve_filter("crisis", root)
    gates.approve(Project(root), chosen, report="evaluation", who="Ada", why="read it")
    record = root / HOME / "model_evaluation.json"
    text = record.read_text(encoding="utf-8")
    record.write_text(text.replace('"REVIEW"', '"OK"', 1), encoding="utf-8")
    state = state_of(evaluation_gate, root)
    assert not state.open and state.approval is None
    assert "the record was changed after model_evaluation.md was written" in state.reasons[0]
    assert state.next_command.startswith("distillery evaluate --filter ")
    record.unlink()
    assert state_of(evaluation_gate, root).open


@pytest.mark.parametrize("old", sorted(CONFIG_EDITS))
def test_an_edit_of_the_config_closes_what_rests_on_it(
    approved_once: Path, tmp_path: Path, old: str
) -> None:
    root = tmp_path / "project"
    shutil.copytree(approved_once, root)
    chosen = resolve_filter("crisis", root)
    gates.approve(Project(root), chosen, report="evaluation", who="Ada", why="read it")
    text = (root / CONFIG).read_text(encoding="utf-8")
    assert old in text
    (root / CONFIG).write_text(text.replace(old, CONFIG_EDITS[old], 1), encoding="utf-8")
    was, now = (yaml.safe_load((folder / CONFIG).read_bytes()) for folder in (approved_once, root))
    for gate, names in ((calibration_gate, CALIBRATION), (evaluation_gate, EVALUATION)):
        if any(was.get(one) != now.get(one) for one in SECTIONS[names]):
            assert not state_of(gate, root).open


def test_no_sequence_of_edits_opens_a_gate_whose_evidence_does_not_match(
    approved_once: Path, tmp_path: Path
) -> None:
    root = tmp_path / "project"
    shutil.copytree(approved_once, root)
    asked = {
        "calibration": Asked(calibration_gate, root, CALIBRATION),
        "evaluation": Asked(evaluation_gate, root, EVALUATION),
    }
    machine = type("OnThisProject", (Edits,), {"root": root, "start": approved_once, **asked})
    machine.TestCase.settings = settings(
        max_examples=12,
        stateful_step_count=10,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes here
        suppress_health_check=list(HealthCheck),
    )
    machine.TestCase().runTest()
