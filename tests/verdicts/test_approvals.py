from __future__ import annotations

from pathlib import Path

import pytest

from distillery_core.errors import CheckFailed, UserError
from distillery_core.verdicts import (
    Measurement,
    ReportFront,
    approve,
    load_criteria,
    read_approvals,
    write_report,
)

ROOT = Path(__file__).parents[2]
CRITERIA = load_criteria("oracle_readiness", ROOT)
NAME = "readiness.md"
WHEN = "2026-11-22T20:00:00Z"


def report(folder: Path, verdict: str, std: float = 0.4, body: str = "text"):
    measurements = {
        "success": Measurement(1.0, n=200),
        "lowest_std": Measurement(std),
        "highest_std": Measurement(1.0),
        "constant_dimensions": Measurement(0),
        "severe_articles": Measurement(3),
    }
    front = ReportFront(
        agent="oracle_readiness",
        round="readiness",
        filter="crisis",
        version=1,
        verdict=verdict,
        deciding_line="lowest_std",
        evidence={"oracle": "m"},
        measurements=measurements,
    )
    return write_report(folder / NAME, front, body)


def test_approve_writes_who_why_when_and_the_reports_hash(tmp_path):
    written = report(tmp_path, "REVIEW")
    approval = approve(tmp_path, NAME, " Ada  Lovelace ", "flat,\nbut rare", when=WHEN)
    assert (approval.who, approval.why, approval.when) == ("Ada Lovelace", "flat, but rare", WHEN)
    assert approval.report_sha256 == written.sha256
    assert read_approvals(tmp_path) == (approval,)
    assert approval.void(NAME, written.sha256, "2999-01-01") == ""


def test_earlier_approvals_are_kept(tmp_path):
    report(tmp_path, "REVIEW")
    first = approve(tmp_path, NAME, "Ada", "one", when=WHEN)
    report(tmp_path, "REVIEW", body="new text")
    second = approve(tmp_path, NAME, "Ada", "two", when=WHEN, expires="2027-01-31")
    assert read_approvals(tmp_path) == (first, second)


def test_what_makes_it_void(tmp_path):
    written = report(tmp_path, "REVIEW")
    approval = approve(tmp_path, NAME, "Ada", "why", when=WHEN, expires="2026-12-01")
    assert approval.void(NAME, written.sha256, "2026-12-01") == ""
    assert "expired" in approval.void(NAME, written.sha256, "2026-12-02")
    assert "report has changed" in approval.void(NAME, "0" * 64, "2026-11-22")
    assert "is for readiness.md" in approval.void("other.md", written.sha256, "2026-11-22")
    later = approval.model_copy(update={"expires": "2036-12-01"})
    assert "entry was changed" in later.void(NAME, written.sha256, "2026-12-02")


@pytest.mark.parametrize("criteria", [None, CRITERIA])
def test_fail_is_refused(tmp_path, criteria):
    report(tmp_path, "BLOCK" if criteria is None else "REVIEW", std=0.4)
    if criteria is not None:
        line = criteria.line("lowest_std").model_copy(update={"fail": "< 0.45"})
        criteria = criteria.model_copy(
            update={
                "lines": tuple(line if old.name == line.name else old for old in CRITERIA.lines)
            }
        )
    with pytest.raises(CheckFailed, match="cannot be approved"):
        approve(tmp_path, NAME, "Ada", "please", criteria=criteria)
    assert not (tmp_path / "approvals.yaml").exists()


def test_a_pass_needs_none(tmp_path):
    report(tmp_path, "READY", std=1.0)
    with pytest.raises(UserError, match="needs no approval"):
        approve(tmp_path, NAME, "Ada", "why")
    with pytest.raises(UserError, match="needs no approval"):
        approve(tmp_path, NAME, "Ada", "why", criteria=CRITERIA)


@pytest.mark.parametrize(
    ("who", "why", "expires", "message"),
    [
        ("", "why", None, "who approves and why"),
        ("Ada", " \n", None, "who approves and why"),
        ("Ada", "why", "soon", "not a day"),
        ("Ada", "why", "2026-11-21", "would have expired"),
    ],
)
def test_incomplete_approvals_are_refused(tmp_path, who, why, expires, message):
    report(tmp_path, "REVIEW")
    with pytest.raises(UserError, match=message):
        approve(tmp_path, NAME, who, why, expires=expires, when=WHEN)


def test_an_edited_report_cannot_be_approved(tmp_path):
    report(tmp_path, "REVIEW")
    path = tmp_path / NAME
    path.write_text(path.read_text(encoding="utf-8") + "P.S.", encoding="utf-8")
    with pytest.raises(UserError, match="was changed"):
        approve(tmp_path, NAME, "Ada", "why")
    with pytest.raises(UserError, match="no such report"):
        approve(tmp_path, "other.md", "Ada", "why")


@pytest.mark.parametrize("text", ["a: 1", "- {report: r}", "- 1", "[", "\ufeff- x"])
def test_a_foreign_approvals_file_is_refused(tmp_path, text):
    (tmp_path / "approvals.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError):
        read_approvals(tmp_path)


def test_no_file_no_approvals(tmp_path):
    assert read_approvals(tmp_path) == ()
