"""approvals.yaml: who lets a REVIEW through, why, and for which report exactly."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator

from distillery_core.errors import CheckFailed, UserError
from distillery_core.files import now_utc, sha256_json, write_text
from distillery_core.types import Level
from distillery_core.verdicts.criteria import Criteria
from distillery_core.verdicts.decision import decide
from distillery_core.verdicts.front_matter import Report, read_report
from distillery_core.verdicts.sealed_yaml import dump_yaml, parse_untrusted

FILE_NAME = "approvals.yaml"
REVIEW = "REVIEW"

_HEAD = (
    "# Written by `distillery approve`; an entry that is changed, or whose report is, is void.\n"
)


class Approval(BaseModel):
    """One person's word for one report.

    Attributes:
        report: the report's file name, beside this file.
        report_sha256: hash of the report that was read.
        who, why, when: the person, the reason, the time (UTC).
        expires: last day (YYYY-MM-DD, UTC) on which it counts; None: it does not expire.
        sha256: hash of the other fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    report: str
    report_sha256: str
    who: str = Field(min_length=1)
    why: str = Field(min_length=1)
    when: str
    expires: str | None = None
    sha256: str = ""

    @field_validator("expires")
    @classmethod
    def _a_day(cls, expires: str | None) -> str | None:
        return None if expires is None else date.fromisoformat(expires).isoformat()

    def sealed(self) -> Self:
        """With the hash of its own fields."""
        return self.model_copy(update={"sha256": self.own_sha256()})

    def own_sha256(self) -> str:
        """Hash of all fields but `sha256`."""
        return sha256_json(self.model_dump(exclude={"sha256"}))

    def void(self, name: str, report_sha256: str, today: str) -> str:
        """Why it does not count for a report on a day; empty where it counts."""
        if self.report != name:
            return f"it is for {self.report}"
        if self.sha256 != self.own_sha256():
            return "the entry was changed after it was written"
        if self.report_sha256 != report_sha256:
            return "the report has changed since"
        if self.expires is not None and today > self.expires:
            return f"it expired on {self.expires}"
        return ""


class _Approvals(RootModel[tuple[Approval, ...]]):
    """The whole file: a list."""


def read_approvals(folder: Path) -> tuple[Approval, ...]:
    """All entries of a folder's approvals.yaml, void ones too; none where there is no file.

    Raises:
        UserError: the file is not what `approve` writes.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=path) from None
    return parse_untrusted(text, _Approvals, path).root


def approve(
    folder: Path,
    report_file: str,
    who: str,
    why: str,
    *,
    expires: str | None = None,
    criteria: Criteria | None = None,
    when: str | None = None,
    read: Path | None = None,
) -> Approval:
    """Record that a person has read a REVIEW and lets it through.

    Args:
        folder: the filter's folder, which holds the report.
        report_file: the report's name in it.
        expires: last day on which the approval counts, YYYY-MM-DD.
        criteria: today's table; with it the verdict is decided again first.
        when: the time, for tests; now.
        read: the report that was read, where it is a kept one and not that of the folder.

    Raises:
        UserError: no name, no reason, a day in the past, no such report, nothing to approve.
        CheckFailed: the verdict is FAIL.
    """
    when = when or now_utc()
    _demand(who, why, expires, when)
    path = read or folder / Path(report_file).name
    report = read_report(path)
    _only_review(report, criteria, path)
    approval = Approval(
        report=Path(report_file).name,
        report_sha256=report.sha256,
        who=" ".join(who.split()),
        why=" ".join(why.split()),
        when=when,
        expires=expires,
    ).sealed()
    _write(folder, (*read_approvals(folder), approval))
    return approval


def _demand(who: str, why: str, expires: str | None, when: str) -> None:
    if not who.strip() or not why.strip():
        raise UserError("an approval names who approves and why", hint='--who NAME --why "REASON"')
    if expires is None:
        return
    try:
        day = date.fromisoformat(expires).isoformat()
    except ValueError:
        raise UserError(f"{expires!r} is not a day such as 2027-01-31") from None
    if day < when[:10]:
        raise UserError(f"the approval would have expired on {day}")


def _only_review(report: Report, criteria: Criteria | None, path: Path) -> None:
    level = _level(report, criteria)
    if level is Level.FAIL:
        raise CheckFailed(
            f"{path}: a {report.front.verdict} cannot be approved",
            [f"decided by {report.front.deciding_line}"],
            hint="mend what the report names, then run the agent again",
        )
    if level is Level.OK:
        raise UserError(f"{report.front.verdict} needs no approval", where=path)


def _level(report: Report, criteria: Criteria | None) -> Level:
    """Of the verdict; without a table only the word REVIEW, shared by all tables, is REVIEW."""
    front = report.front
    if criteria is not None:
        table = criteria if criteria.round else criteria.for_round(front.round)
        return decide(table, front.measurements, front.kind, front.lowered).level
    if front.verdict == REVIEW:
        return Level.REVIEW
    return Level.OK if front.verdict in {"PASS", "DEPLOY", "READY"} else Level.FAIL


def _write(folder: Path, approvals: tuple[Approval, ...]) -> None:
    entries = [approval.model_dump() for approval in approvals]
    write_text(folder / FILE_NAME, _HEAD + dump_yaml(entries))
