from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from distillery_core.errors import UserError
from distillery_core.files import sha256_text
from distillery_core.types import Level
from distillery_core.verdicts import Lowered, ReportFront, read_report, render_report, write_report
from distillery_core.verdicts.front_matter import parse_report
from distillery_core.verdicts.measurement import rate

PATH = Path("calibration_report.md")


def front(**changes) -> ReportFront:
    values = {
        "agent": "prompt_calibration",
        "round": "calibration",
        "filter": "crisis",
        "version": 1,
        "verdict": "REVIEW",
        "deciding_line": "scored_edge",
        "evidence": {"prompt_sha256": "0" * 64, "oracle": "gemini-flash"},
        "counts": {"on_topic": 40},
        "measurements": {"on_topic_misses": rate(2, 40)},
    }
    return ReportFront.model_validate(values | changes)


def test_write_and_read(tmp_path):
    path = tmp_path / PATH
    given_front = front(lowered=Lowered(Level.REVIEW, "too kind", "gpt"), numbers={"auc": 0.93})
    written = write_report(path, given_front, "# Crisis\n\ntext")
    report = read_report(path)
    assert report == written
    assert report.body == "# Crisis\n\ntext\n"
    assert report.front.measurements == {"on_topic_misses": rate(2, 40)}
    assert report.front.lowered == Lowered(Level.REVIEW, "too kind", "gpt")
    assert report.front.body_sha256 == sha256_text(report.body)
    assert report.sha256 == sha256_text(path.read_text(encoding="utf-8"))


def test_same_evidence_same_bytes():
    assert render_report(front(), "text") == render_report(front(), "text\n")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(), json_values, max_size=4), st.text())
def test_any_numbers_and_any_body_come_back(numbers, body):
    text = render_report(front(numbers=numbers), body)
    report = parse_report(text, PATH)
    assert report.front.numbers == numbers
    assert parse_report(render_report(report.front, report.body), PATH) == report


def test_numpy_tuples_and_lone_surrogates_become_plain():
    numbers = {"mae": np.float32(0.5), "n": np.int64(3), "ok": np.bool_(True), "t": (1, "\ud800")}
    report = parse_report(render_report(front(numbers=numbers), "body \ud800"), PATH)
    assert report.front.numbers == {"mae": 0.5, "n": 3, "ok": True, "t": [1, "?"]}
    assert report.body == "body ?\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"numbers": {"mae": math.nan}},
        {"numbers": {"deep": [{"x": math.inf}]}},
        {"numbers": {3: 1}},
        {"numbers": {"path": PATH}},
        {"measurements": {"leak": {"value": math.nan}}},
        {"measurements": {"leak": {"vlaue": 0}}},
        {"measurements": {"leak": 0}},
        {"lowered": {"to": "PASS", "reason": "r", "by": "m"}},
        {"lowered": "FAIL"},
        {"kind": "both"},
        {"schema": 2},
        {"mae": 1.0},
    ],
)
def test_what_a_front_cannot_hold(changes):
    with pytest.raises(ValidationError):
        front(**changes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("all is well", "all is very well", "text was changed"),
        ("verdict: REVIEW", "verdict: PASS", "front matter was changed"),
        ("count: 2", "count: 0", "front matter was changed"),
        ("deciding_line: scored_edge\n", "", "deciding_line: required"),
        ("kind: general", "kind: general\nextra: 1", "unknown key"),
        ("---\n", "", "front matter between two --- is missing"),
    ],
)
def test_edits_by_hand_are_found(old, new, message):
    text = render_report(front(), "all is well")
    assert old in text
    with pytest.raises(UserError, match=message):
        parse_report(text.replace(old, new), PATH)


def test_windows_line_ends_and_a_byte_order_mark_are_no_edit(tmp_path):
    path = tmp_path / PATH
    report = write_report(path, front(), "text")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_report(path) == report


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such report"), (b"\xff\xfe", "not UTF-8"), (b"", "no report"), ("dir", "cannot")],
)
def test_unreadable(tmp_path, content, message):
    path = tmp_path / PATH
    if content == "dir":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_report(path)
