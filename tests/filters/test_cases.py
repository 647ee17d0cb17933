"""cases.yaml: what is reported when a case does not hold, and when it cannot be run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.errors import UserErrors
from distillery_core.filters import load_filter
from distillery_core.filters.cases import CaseRun, run_cases

MakeFilter = Callable[..., Path]
PREFILTER = "min_chars: 10"


def _run(make_filter: MakeFilter, cases: str) -> CaseRun:
    return run_cases(load_filter(make_filter(prefilter=PREFILTER, cases=cases)))


def test_filter_without_cases_has_none(make_filter: MakeFilter) -> None:
    assert run_cases(load_filter(make_filter())) == CaseRun(0, 0, ())


def test_cases_that_hold(make_filter: MakeFilter) -> None:
    cases = """
    prefilter:
      - {name: short, article: {content: few}, blocked: too short}
      - {name: repeated, article: {content: few, repeat: 3}}
    scores:
      - name: all named
        scores: {joy: 8, depth: 6, proof: 4}
        overall: 6.6
        tier: high
        applied: []
      - {name: the others, scores: {joy: 5}, others: 0, tier: low}
    """
    assert _run(make_filter, cases) == CaseRun(2, 2, ())


@pytest.mark.parametrize(
    ("case", "failure"),
    [
        ("article: {content: few}", "blocked (too short: 3 characters, 10 needed), should pass"),
        ("article: {content: few, repeat: 9}, blocked: short", "passes, should be blocked (short)"),
        ("article: {content: few}, blocked: cookie", "not by 'cookie'"),
    ],
)
def test_prefilter_case_that_fails(make_filter: MakeFilter, case: str, failure: str) -> None:
    run = _run(make_filter, f"prefilter: [{{name: odd, {case}}}]")
    assert len(run.failures) == 1
    assert run.failures[0].startswith("pre-filter, odd: ")
    assert failure in run.failures[0]


@pytest.mark.parametrize(
    ("case", "failure"),
    [
        ("others: 5, overall: 4.9", "overall is 5.00, should be 4.90"),
        ("others: 5, tier: high", "tier is low (overall 5.00), should be high"),
        ("others: 5, applied: [cap ad]", "rules applied: [], should be ['cap ad']"),
        ("scores: {joi: 5}, others: 5", "unknown dimensions: joi"),
        ("scores: {joy: 5}", "no score for depth, proof (give them, or `others`)"),
    ],
)
def test_score_case_that_fails(make_filter: MakeFilter, case: str, failure: str) -> None:
    run = _run(make_filter, f"scores: [{{name: odd, {case}}}]")
    assert run.failures == (f"scores, odd: {failure}",)


def test_mistake_in_the_file_has_its_line(make_filter: MakeFilter) -> None:
    with pytest.raises(UserErrors, match=r"cases\.yaml:2: .*did you mean 'tier'"):
        _run(make_filter, "scores:\n  - {name: odd, others: 5, teir: high}\n")
