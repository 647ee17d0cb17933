from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distillery_core.errors import GateClosed
from distillery_core.files import sha256_text
from distillery_core.types import Level
from distillery_core.verdicts import (
    GateState,
    Measurement,
    ReportFront,
    all_open,
    approve,
    check_report,
    decide,
    load_criteria,
    rate,
    with_overrides,
    write_report,
)

ROOT = Path(__file__).parents[2]
CRITERIA = load_criteria("prompt_calibration", ROOT)
CALIBRATION = CRITERIA.for_round("calibration")
NAME = "calibration_report.md"
EVIDENCE = {"prompt_sha256": sha256_text("prompt"), "oracle": "gemini-flash"}
TODAY = "2026-11-22"

WELL = {
    name: rate(*value) if isinstance(value, list) else Measurement.from_dict(value)
    for name, value in yaml.safe_load(
        (ROOT / "tests/cases/verdicts/prompt_calibration.yaml").read_text(encoding="utf-8")
    )["all_well"].items()
}
REVIEW = {"scored_edge": Measurement(3)}
FAIL = {"off_topic_false_positives": rate(16, 20)}


def report(folder: Path, changed=None, round_name="calibration", name=NAME, **fields) -> Path:
    measurements = WELL | (changed or {})
    decision = decide(CRITERIA.for_round(round_name), measurements)
    values = {
        "agent": "prompt_calibration",
        "round": round_name,
        "filter": "crisis",
        "version": 1,
        "verdict": decision.word,
        "deciding_line": decision.deciding.name,
        "evidence": EVIDENCE,
        "measurements": measurements,
    }
    write_report(folder / name, ReportFront.model_validate(values | fields), "# Report\n\ntext\n")
    return folder / name


def check(path: Path, expected=EVIDENCE, criteria=CALIBRATION, today=TODAY) -> GateState:
    return check_report(path, criteria, expected, today=today)


def approved(folder: Path, **options) -> None:
    approve(folder, NAME, "Ada", "read it", when=f"{TODAY}T12:00:00Z", **options)


def closed(state: GateState, reason: str, command: str) -> bool:
    assert not state.open
    assert any(reason in line for line in state.reasons), state.reasons
    assert command in state.next_command
    with pytest.raises(GateClosed, match="labelling: the gate is closed"):
        state.require("labelling")
    return True


def test_a_pass_with_the_same_evidence_is_open(tmp_path):
    state = check(report(tmp_path))
    assert (state.open, state.level, state.verdict) == (True, Level.OK, "PASS")
    assert state.next_command == ""
    assert state.require("labelling") is None
    assert len(state.decision.lines) == len(CALIBRATION.lines) + 1


def test_without_a_report(tmp_path):
    state = check(tmp_path / NAME)
    assert state.level is None
    assert closed(state, "no such report", f"distillery calibrate --filter {tmp_path}")


def test_folders_with_spaces_are_quoted(tmp_path):
    state = check(tmp_path / "my filters" / NAME)
    assert f"--filter '{tmp_path}/my filters'" in state.next_command


def test_a_hash_that_differs(tmp_path):
    now = EVIDENCE | {"prompt_sha256": sha256_text("another prompt")}
    state = check(report(tmp_path), now)
    assert closed(state, "prompt_sha256: the report was made from", "distillery calibrate")
    assert state.level is Level.OK


def test_evidence_that_the_report_lacks(tmp_path):
    state = check(report(tmp_path), EVIDENCE | {"text_view_sha256": "1" * 64})
    assert closed(state, "made from nothing", "distillery calibrate")


def test_evidence_that_is_not_at_hand(tmp_path):
    state = check(report(tmp_path), EVIDENCE | {"oracle": None})
    assert closed(state, "oracle: not checkable here", "distillery gate check")
    assert state.not_checkable == ("oracle",)


def test_nothing_compared_is_nothing_known(tmp_path):
    assert closed(check(report(tmp_path), {}), "nothing was compared", "distillery calibrate")


def test_fail_never_opens(tmp_path):
    path = report(tmp_path, FAIL)
    assert closed(check(path), "FAIL: Off-topic false positives: 80.0 %", "distillery calibrate")


def test_review_waits_for_an_approval(tmp_path):
    path = report(tmp_path, REVIEW)
    assert closed(check(path), "no approval", f"distillery approve --filter {tmp_path}")
    approved(tmp_path)
    state = check(path)
    assert (state.open, state.level, state.approval.who) == (True, Level.REVIEW, "Ada")
    assert "approved by Ada: read it" in state.reasons[0]


def test_an_approval_is_void_when_the_report_changes(tmp_path):
    path = report(tmp_path, REVIEW)
    approved(tmp_path)
    report(tmp_path, REVIEW | {"scored_on_topic": Measurement(19)})
    assert closed(check(path), "is void: the report has changed since", "distillery approve")


def test_an_approval_expires(tmp_path):
    path = report(tmp_path, REVIEW)
    approved(tmp_path, expires="2026-11-30")
    assert check(path, today="2026-11-30").open
    assert closed(check(path, today="2026-12-01"), "expired on 2026-11-30", "distillery approve")


def test_an_approval_does_not_mend_evidence(tmp_path):
    path = report(tmp_path, REVIEW)
    approved(tmp_path)
    assert closed(check(path, EVIDENCE | {"oracle": "other"}), "oracle: the report", "calibrate")
    assert closed(check(path, EVIDENCE | {"oracle": None}), "not checkable here", "gate check")


def test_unreadable_approvals_keep_it_closed(tmp_path):
    path = report(tmp_path, REVIEW)
    (tmp_path / "approvals.yaml").write_text("- [", encoding="utf-8")
    assert closed(check(path), "not valid YAML", "distillery approve")


def test_decided_again_with_todays_criteria(tmp_path):
    path = report(tmp_path, {"on_topic_misses": rate(6, 40)})
    assert check(path).open
    stricter = with_overrides(CRITERIA, {"on_topic_misses": {"ok": "< 0.1", "reason": "costly"}})
    state = check(path, criteria=stricter.for_round("calibration"))
    assert closed(state, "says PASS, decided again today it is REVIEW", "distillery calibrate")


@pytest.mark.parametrize("verdict", ["PASS", "DEPLOY", "pass", ""])
def test_a_verdict_that_its_numbers_do_not_give(tmp_path, verdict):
    path = report(tmp_path, FAIL, verdict=verdict)
    assert closed(check(path), "decided again today it is FAIL", "distillery calibrate")


def test_a_copy_of_the_calibration_report_is_no_validation(tmp_path):
    path = report(tmp_path, name="validation_report.md")
    state = check(path, criteria=CRITERIA.for_round("validation"))
    assert closed(state, "of the calibration round, not of the validation", "--validate")


def test_a_report_of_another_agent(tmp_path):
    state = check(report(tmp_path), criteria=load_criteria("model_evaluation", ROOT))
    assert closed(state, "is a report of prompt_calibration", "distillery evaluate")


def test_a_round_that_does_not_exist(tmp_path):
    state = check(report(tmp_path, round="third"), criteria=CRITERIA)
    assert closed(state, "has no round 'third'", "distillery calibrate")


def test_without_a_round_the_reports_own_counts(tmp_path):
    assert check(report(tmp_path, round_name="validation"), criteria=CRITERIA).open


def test_a_lowered_verdict_stays_lowered(tmp_path):
    lowered = {"to": "REVIEW", "reason": "rewards headlines", "by": "m"}
    path = report(tmp_path, lowered=lowered, verdict="REVIEW", deciding_line="reading")
    assert closed(check(path), "Agent's reading: lowered to REVIEW by m", "distillery approve")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"---\n---\n",
        b"---\na: &a [*a]\n---\n",
        b"---\n" + b"[" * 9999 + b"\n---\n",
    ],
)
def test_whatever_the_file_holds_the_gate_answers(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    assert not check(tmp_path / NAME).open


def test_two_reports_one_gate(tmp_path):
    calibration = check(report(tmp_path))
    validation = check(tmp_path / "validation_report.md", criteria=CRITERIA.for_round("validation"))
    both = all_open({"calibration": calibration, "validation": validation})
    assert closed(both, "validation: ", "--validate")
    assert both.level is None
    path = report(tmp_path, round_name="validation", name="validation_report.md")
    validation = check(path, criteria=CRITERIA.for_round("validation"))
    both = all_open({"calibration": calibration, "validation": validation})
    assert (both.open, both.level, both.verdict) == (True, Level.OK, "PASS")


def test_the_worse_of_two_reports_is_the_level(tmp_path):
    worse = check(report(tmp_path, FAIL))
    well = check(report(tmp_path))
    both = all_open({"calibration": well, "validation": worse})
    assert (both.open, both.level, both.verdict) == (False, Level.FAIL, "FAIL")
    assert both.next_command == worse.next_command


def test_no_gates_are_closed():
    assert closed(all_open({}), "no report was asked for", "")


# No edit of any byte opens a closed gate (the smallest table, so that many edits are tried).

SMALL = load_criteria("oracle_readiness", ROOT)
SMALL_WELL = {
    "success": rate(200, 200),
    "lowest_std": Measurement(1.4),
    "highest_std": Measurement(2.2),
    "constant_dimensions": Measurement(0),
    "severe_articles": Measurement(12),
}
SMALL_REVIEW = {"lowest_std": Measurement(0.4)}
SMALL_FAIL = {"severe_articles": Measurement(0)}
CLOSED = {
    "fail": (SMALL_FAIL, EVIDENCE, {}),
    "forged verdict": (SMALL_FAIL, EVIDENCE, {"verdict": "READY"}),
    "review": (SMALL_REVIEW, EVIDENCE, {}),
    "stale prompt": ({}, EVIDENCE | {"prompt_sha256": sha256_text("new")}, {}),
    "other oracle": ({}, EVIDENCE | {"oracle": "gemini-flasH"}, {}),
    "absent evidence": ({}, EVIDENCE | {"oracle": None}, {}),
}
EDITS = st.lists(
    st.tuples(
        st.integers(0, 1500), st.integers(0, 255), st.sampled_from(["insert", "delete", "set"])
    ),
    max_size=3,
)
FIXTURES = [HealthCheck.function_scoped_fixture]


def small_report(folder: Path, changed, **fields) -> Path:
    measurements = SMALL_WELL | changed
    values = {
        "agent": "oracle_readiness",
        "round": "readiness",
        "measurements": measurements,
        "verdict": decide(SMALL, measurements).word,
    }
    return report(folder, **(values | fields))


def small_check(path: Path, expected=EVIDENCE, today=TODAY) -> GateState:
    return check_report(path, SMALL, expected, today=today)


def edited(data: bytes, edits: list[tuple[int, int, str]]) -> bytes:
    changed = bytearray(data)
    for position, byte, how in edits:
        at = position % (len(changed) + 1)
        if how == "insert":
            changed.insert(at, byte)
        else:
            changed[at : at + 1] = b"" if how == "delete" else bytes([byte])
    return bytes(changed)


def test_the_small_report_opens_when_nothing_is_wrong(tmp_path):
    assert small_check(small_report(tmp_path, {})).open
    assert not small_check(small_report(tmp_path, SMALL_REVIEW)).open
    approved(tmp_path)
    assert small_check(tmp_path / NAME).open


@settings(max_examples=150, deadline=None, suppress_health_check=FIXTURES)
@given(case=st.sampled_from(sorted(CLOSED)), in_report=EDITS, in_approvals=EDITS)
def test_no_edit_of_bytes_opens_a_closed_gate(tmp_path, case, in_report, in_approvals):
    changed, expected, fields = CLOSED[case]
    other = tmp_path / "other"
    if not other.exists():
        other.mkdir()
        small_report(other, SMALL_REVIEW, deciding_line="another report")
        approved(other)
    path = small_report(tmp_path, changed, **fields)
    path.write_bytes(edited(path.read_bytes(), in_report))
    entries = (other / "approvals.yaml").read_bytes()
    (tmp_path / "approvals.yaml").write_bytes(edited(entries, in_approvals))
    assert not small_check(path, expected).open


SWAPS = {
    b"value: 0.0": b"value: 12.0",
    b"value: 0\n": b"value: 12\n",
    b"BLOCK": b"READY",
    b"REVIEW": b"READY",
    b"value: 0.4": b"value: 1.4",
    EVIDENCE["prompt_sha256"].encode(): sha256_text("new").encode(),
    b"gemini-flash": b"gemini-flasH",
}


@pytest.mark.parametrize("case", sorted(CLOSED))
def test_no_purposeful_edit_opens_it_either(tmp_path, case):
    changed, expected, fields = CLOSED[case]
    data = small_report(tmp_path, changed, **fields).read_bytes()
    every = data
    for old, new in SWAPS.items():
        every = every.replace(old, new)
        for attempt in (data.replace(old, new), every):
            (tmp_path / NAME).write_bytes(attempt)
            assert not small_check(tmp_path / NAME, expected).open


@settings(max_examples=60, deadline=None, suppress_health_check=FIXTURES)
@given(edits=EDITS)
def test_an_edited_approval_does_not_outlive_its_day(tmp_path, edits):
    approvals = tmp_path / "approvals.yaml"
    approvals.unlink(missing_ok=True)
    path = small_report(tmp_path, SMALL_REVIEW)
    approved(tmp_path, expires="2026-11-30")
    longer = approvals.read_bytes().replace(b"2026-11-30", b"2999-11-30")
    for data in (approvals.read_bytes(), longer):
        approvals.write_bytes(edited(data, edits))
        assert not small_check(path, today="2027-01-01").open


@settings(max_examples=50, deadline=None, suppress_health_check=FIXTURES)
@given(st.dictionaries(st.sampled_from([*EVIDENCE, "model_sha256"]), st.none() | st.text()))
def test_only_equal_evidence_opens(tmp_path, expected):
    equal = expected | EVIDENCE
    path = small_report(tmp_path, {}, evidence=EVIDENCE)
    assert small_check(path, equal).open is (equal == EVIDENCE)
    wanted = bool(expected) and expected.items() <= EVIDENCE.items()
    assert small_check(path, expected).open is wanted
