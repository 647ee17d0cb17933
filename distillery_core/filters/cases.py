"""Behaviour cases of a filter (`cases.yaml`): what its pre-filter and score rules must do.

prefilter:
  - name: a cookie wall is blocked
    article: {title: "...", content: "We use cookies ...", repeat: 3, url: "https://..."}
    blocked: cookie_wall          # words of the reason; left out: the article passes
scores:
  - name: a plan is no deployment
    scores: {deployment_maturity: 2}
    others: 8                     # the score of every dimension that is not named
    text: ""                      # what caps and penalties search
    overall: 3.0
    tier: no_deployment
    applied: [gatekeeper deployment_maturity]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import Field

from distillery_core.filters.config import Score, Strict
from distillery_core.filters.filter import Filter
from distillery_core.filters.score_rules import overall, tier
from distillery_core.types import Article
from distillery_core.yaml_source import load_model

CASES = "cases.yaml"
OVERALL_TOLERANCE = 0.01
"""A case states the overall score to two decimals."""


class CaseArticle(Strict):
    """An article of a case; `repeat` writes its content that many times, to reach a length."""

    title: str = ""
    content: str
    repeat: int = Field(default=1, ge=1, le=10_000)
    url: str | None = None
    source: str | None = None
    language: str | None = None

    def article(self) -> Article:
        """The article as a stage would get it."""
        keys = {"url": self.url, "source": self.source, "language": self.language}
        extra = {key: value for key, value in keys.items() if value is not None}
        return Article("case", self.title, " ".join([self.content] * self.repeat), extra)


class PrefilterCase(Strict):
    """One article and whether it is blocked: `blocked` holds words of the reason, or nothing."""

    name: str = Field(min_length=1)
    article: CaseArticle
    blocked: str | None = None


class ScoresCase(Strict):
    """Dimension scores and what the score rules must make of them."""

    name: str = Field(min_length=1)
    scores: dict[str, Score] = Field(default_factory=dict)
    others: Score | None = None
    text: str = ""
    overall: Score | None = None
    tier: str | None = None
    applied: tuple[str, ...] | None = None


class Cases(Strict):
    """The whole of cases.yaml."""

    prefilter: tuple[PrefilterCase, ...] = ()
    scores: tuple[ScoresCase, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseRun:
    """How many cases a filter has, and one sentence for each that did not hold."""

    prefilter: int
    scores: int
    failures: tuple[str, ...]


def load_cases(filter: Filter) -> Cases:
    """The filter's cases; a filter without cases.yaml has none.

    Raises:
        UserErrors: every mistake of the file with its line, unknown dimensions and tiers included.
    """
    path = filter.folder / CASES
    return load_model(path, Cases) if path.exists() else Cases()


def run_cases(filter: Filter) -> CaseRun:
    """Run every case of a filter.

    Raises:
        UserErrors: cases.yaml cannot be read.
    """
    cases = load_cases(filter)
    failures = [*_prefilter_failures(filter, cases), *_score_failures(filter, cases)]
    return CaseRun(len(cases.prefilter), len(cases.scores), tuple(failures))


def _prefilter_failures(filter: Filter, cases: Cases) -> Iterator[str]:
    for case in cases.prefilter:
        reason = filter.prefilter.check(case.article.article())
        if case.blocked is None and reason is not None:
            yield f"pre-filter, {case.name}: blocked ({reason}), should pass"
        elif case.blocked is not None and reason is None:
            yield f"pre-filter, {case.name}: passes, should be blocked ({case.blocked})"
        elif case.blocked is not None and case.blocked not in str(reason):
            yield f"pre-filter, {case.name}: blocked by {reason!r}, not by {case.blocked!r}"


def _score_failures(filter: Filter, cases: Cases) -> Iterator[str]:
    for case in cases.scores:
        for problem in _score_problems(filter, case):
            yield f"scores, {case.name}: {problem}"


def _score_problems(filter: Filter, case: ScoresCase) -> Iterator[str]:
    scores = _complete(filter, case)
    if isinstance(scores, str):
        yield scores
        return
    result = overall(filter, scores, case.text)
    name = tier(filter, result.value)
    if case.overall is not None and abs(result.value - case.overall) > OVERALL_TOLERANCE:
        yield f"overall is {result.value:.2f}, should be {case.overall:.2f}"
    if case.tier is not None and name != case.tier:
        yield f"tier is {name} (overall {result.value:.2f}), should be {case.tier}"
    if case.applied is not None and result.applied != case.applied:
        yield f"rules applied: {list(result.applied)}, should be {list(case.applied)}"


def _complete(filter: Filter, case: ScoresCase) -> dict[str, float] | str:
    """A score for every dimension, or what is wrong with the case."""
    unknown = sorted(set(case.scores) - set(filter.dimensions))
    if unknown:
        return f"unknown dimensions: {', '.join(unknown)}"
    missing = [name for name in filter.dimensions if name not in case.scores]
    if missing and case.others is None:
        return f"no score for {', '.join(missing)} (give them, or `others`)"
    return {name: case.scores.get(name, case.others or 0.0) for name in filter.dimensions}
