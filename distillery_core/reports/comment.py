"""The body of a pull request's comment, and the result of its check.

Everything in it comes from the pull request, so everything is escaped: no mention, no reference, no
HTML and no link of an article or an approval is one here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from distillery_core.reports.line_table import marked
from distillery_core.reports.record import LevelName, Line
from distillery_core.reports.templates import render_file

MARKER = "<!-- distillery-review -->"
"""First line of the comment, by which it is found and written anew."""

MAX_CHARS = 65_536
"""Longest comment that GitHub takes."""

TEMPLATE = Path(__file__).with_name("comment.md.j2")

Conclusion = Literal["success", "action_required", "failure", "neutral"]
"""As GitHub's check runs call them: all good; a REVIEW waits for a person; a FAIL, or a report that
is edited, stale or not readable; nothing to judge."""

_WORST_FIRST: tuple[Conclusion, ...] = ("failure", "action_required", "success", "neutral")
_TITLES: dict[Conclusion, str] = {
    "success": "Every report lets the work go on",
    "action_required": "A person has to decide",
    "failure": "A report stands in the way",
    "neutral": "No report changed",
}


@dataclass(frozen=True, slots=True)
class Moved:
    """A line that came out otherwise than in the base's report; `better` is None where the number
    did not move, or cannot be compared."""

    title: str
    before: str
    now: str
    level_before: LevelName
    level_now: LevelName
    verdict_before: str
    verdict_now: str
    better: bool | None


@dataclass(frozen=True)
class ReportReview:
    """One report in the comment.

    Attributes:
        name, file: what it is and where it lies.
        level, word: of the verdict decided again; None and empty where the report is not whole.
        because: the lines that decided.
        besides: what the gate says beside those lines.
        not_checkable: evidence that is not in this checkout.
        meaning: what an approval would mean; empty where none is asked for.
        command: the command that comes next.
        before: the base's verdict; empty where it has no such report.
        evidence: names of the evidence that differs from the base's report.
        moved, unmoved: lines that came out otherwise, and how many did not.
        worst: the worst articles, plain values.
    """

    name: str
    file: str
    level: LevelName | None
    word: str
    conclusion: Conclusion
    because: tuple[Line, ...] = ()
    besides: tuple[str, ...] = ()
    not_checkable: tuple[str, ...] = ()
    meaning: str = ""
    command: str = ""
    before: str = ""
    evidence: tuple[str, ...] = ()
    moved: tuple[Moved, ...] = ()
    unmoved: int = 0
    worst: tuple[dict[str, Any], ...] = ()

    @property
    def verdict(self) -> str:
        """Mark and word."""
        return marked(self.level, self.word) if self.level else "❌ not whole"


@dataclass(frozen=True)
class FilterReview:
    """One filter in the comment.

    Attributes:
        label: e.g. `crisis:v1`.
        folder: where it lies in the project.
        gates: name of a gate -> open or why not.
        cost: sentences about money and time.
        problem: why nothing can be said; empty where it can.
    """

    label: str
    folder: str
    reports: tuple[ReportReview, ...] = ()
    gates: dict[str, str] = field(default_factory=dict)
    cost: tuple[str, ...] = ()
    problem: str = ""

    @property
    def conclusion(self) -> Conclusion:
        """The worst of its reports."""
        return "failure" if self.problem else worst([one.conclusion for one in self.reports])


@dataclass(frozen=True)
class Review:
    """All that a pull request changes; `limits` names files that hold limits and were changed."""

    filters: tuple[FilterReview, ...]
    base: str = ""
    limits: tuple[str, ...] = ()

    @property
    def conclusion(self) -> Conclusion:
        """The worst of all filters."""
        return worst([one.conclusion for one in self.filters])

    @property
    def title(self) -> str:
        """The conclusion in a few words."""
        return _TITLES[self.conclusion]


def worst(conclusions: Sequence[Conclusion]) -> Conclusion:
    """The conclusion that counts of several; neutral of none."""
    return next((one for one in _WORST_FIRST if one in conclusions), "neutral")


def render_comment(review: Review, limit: int = MAX_CHARS) -> str:
    """The comment; where it would be too long, folds go first, then whole sections."""
    for detail in (2, 1, 0):
        text = _rendered(review, detail, len(review.filters))
        if len(text) <= limit:
            return text
    shown = len(review.filters)
    while shown and len(text) > limit:
        shown = shown * limit // (len(text) + 1)
        text = _rendered(review, 0, shown)
    return text


def _rendered(review: Review, detail: int, shown: int) -> str:
    ordered = sorted(
        review.filters, key=lambda one: (_WORST_FIRST.index(one.conclusion), one.label)
    )
    context = {
        "review": review,
        "filters": ordered[:shown],
        "left_out": len(review.filters) - shown,
        "detail": detail,
        "marked": marked,
    }
    return f"{MARKER}\n{render_file(TEMPLATE, context)}"


def check_result(review: Review) -> dict[str, Any]:
    """The result for a machine.

    `conclusion` is one of GitHub's for check runs, `state` the commit status that means the same.
    """
    states = {"success": "success", "neutral": "success", "action_required": "pending"}
    return {
        "schema": 1,
        "conclusion": review.conclusion,
        "state": states.get(review.conclusion, "failure"),
        "title": review.title,
        "summary": _summary(review),
        "filters": [_filter_result(one) for one in review.filters],
    }


def _summary(review: Review) -> str:
    told = [
        f"{one.label}: {one.problem}"
        if one.problem
        else f"{one.label}: "
        + ", ".join(f"{report.name} {report.word or 'not whole'}" for report in one.reports)
        for one in review.filters
    ]
    return "; ".join(told) or _TITLES["neutral"]


def _filter_result(one: FilterReview) -> dict[str, Any]:
    return {
        "filter": one.label,
        "conclusion": one.conclusion,
        "problem": one.problem or None,
        "gates": one.gates,
        "reports": [
            {
                "file": report.file,
                "conclusion": report.conclusion,
                "verdict": report.word or None,
                "before": report.before or None,
                "because": [f"{line.title}: {line.reason}" for line in report.because],
                "reasons": list(report.besides),
                "not_checkable": list(report.not_checkable),
                "moved": [moved.title for moved in report.moved],
                "next_command": report.command or None,
            }
            for report in one.reports
        ],
    }
