"""Two prompts on the same articles: paired tests, and what follows from them in plain words.

Two prompts that answer the same articles are compared article by article, which shows smaller
differences than comparing their two rates would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from distillery_core.agents.calibration_figures import auc
from distillery_core.agents.calibration_lines import calibration_measurements
from distillery_core.agents.observations import Observation, observe
from distillery_core.agents.scored import ScoredArticle
from distillery_core.dataset.classes import CLASSES
from distillery_core.filters.filter import Filter
from distillery_core.student.measures.bootstrap import bootstrap_mean
from distillery_core.verdicts.criteria import Criteria
from distillery_core.verdicts.decision import decide
from distillery_core.verdicts.measurement import Measurement

SIGNIFICANT = 0.05
SMALLEST_P = 0.001
"""Smaller ones are printed as such."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class PairedErrors:
    """One kind of error of both prompts on the same articles.

    Attributes:
        a, b: how many of `n` articles each prompt gets wrong.
        only_a, only_b: articles that one gets wrong and the other right; all that the test uses.
        p_value: McNemar's exact two-sided test.
    """

    name: str
    a: int
    b: int
    n: int
    only_a: int
    only_b: int
    p_value: float

    @property
    def better(self) -> str:
        """`A` or `B` where one is shown to make fewer of these errors, else empty."""
        if self.p_value >= SIGNIFICANT:
            return ""
        return "A" if self.only_a < self.only_b else "B"


@dataclass(frozen=True, slots=True)
class PairedScores:
    """A number of both prompts on the same articles, and the mean of B minus A.

    Attributes:
        low, high: 95 % paired bootstrap interval of the difference; None below two articles.
        p_value: Wilcoxon's signed-rank test, two-sided; None where no article differs.
    """

    name: str
    n: int
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None


@dataclass(frozen=True, slots=True)
class ComparedLine:
    """A line of the calibration table for both prompts, as each comes out alone."""

    title: str
    limit: str
    a: str
    a_level: str
    b: str
    b_level: str


@dataclass(frozen=True)
class Side:
    """One of the two prompts."""

    filter: Filter
    scored: Sequence[ScoredArticle]
    cost_usd: float


@dataclass(frozen=True)
class Comparison:
    """Everything a comparison shows; `verdict_a` and `verdict_b` are by the sample alone."""

    articles: int
    both_scored: int
    conclusion: tuple[str, ...]
    errors: tuple[PairedErrors, ...]
    scores: tuple[PairedScores, ...]
    lines: tuple[ComparedLine, ...]
    verdict_a: str
    verdict_b: str
    auc_a: float | None
    auc_b: float | None
    cost_a: float | None
    cost_b: float | None


def compare(a: Side, b: Side, table: Criteria, *, classes_reviewed: bool) -> Comparison:
    """Compare two prompts on one sample.

    Args:
        a, b: the same articles in the same order.
        table: the calibration table, by which each prompt is also judged alone.
        classes_reviewed: as for a calibration round.
    """
    seen_a, seen_b = (observe(side.filter.dimensions, side.scored) for side in (a, b))
    pairs = list(zip(seen_a, seen_b, strict=True))
    cut = a.filter.config.calibration.on_topic_at
    errors = _errors(pairs, cut)
    measured = [
        calibration_measurements(side.filter, side.scored, classes_reviewed=classes_reviewed)
        for side in (a, b)
    ]
    decisions = [decide(table, _with_no_probes(one)) for one in measured]
    return Comparison(
        articles=len(pairs),
        both_scored=sum(one.scores is not None and two.scores is not None for one, two in pairs),
        conclusion=tuple(conclusions(errors)),
        errors=tuple(errors),
        scores=tuple(_scores(pairs)),
        lines=tuple(
            ComparedLine(
                one.title,
                one.ok_text,
                one.value_text,
                one.level.name,
                two.value_text,
                two.level.name,
            )
            for one, two in zip(decisions[0].lines, decisions[1].lines, strict=True)
            if one.line is not None
        ),
        verdict_a=decisions[0].word,
        verdict_b=decisions[1].word,
        auc_a=auc(seen_a),
        auc_b=auc(seen_b),
        cost_a=_each(a, seen_a),
        cost_b=_each(b, seen_b),
    )


def _with_no_probes(measured: dict[str, Measurement]) -> dict[str, Measurement]:
    why = Measurement(applicable=False, note="a comparison asks no probes")
    return {**measured, "injection_shift": why}


def _each(side: Side, seen: Sequence[Observation]) -> float | None:
    asked = sum(one.state != "blocked" for one in seen)
    return side.cost_usd / asked if asked else None


_Pairs = Sequence[tuple[Observation, Observation]]


def _errors(pairs: _Pairs, cut: float) -> list[PairedErrors]:
    both = [(a, b) for a, b in pairs if a.overall is not None and b.overall is not None]
    off_topic = [pair for pair in both if pair[0].class_name == "off_topic"]
    on_topic = [pair for pair in both if pair[0].class_name == "on_topic"]
    asked = [(a, b) for a, b in pairs if "blocked" not in (a.state, b.state)]
    return [
        _paired("off-topic false positives", off_topic, lambda one: (one.overall or 0.0) >= cut),
        _paired("on-topic misses", on_topic, lambda one: (one.overall or 0.0) < cut),
        _paired("articles without a valid answer", asked, lambda one: one.state != "scored"),
    ]


def _paired(name: str, pairs: _Pairs, wrong: Callable[[Observation], bool]) -> PairedErrors:
    found = [(wrong(a), wrong(b)) for a, b in pairs]
    only_a = sum(a and not b for a, b in found)
    only_b = sum(b and not a for a, b in found)
    return PairedErrors(
        name=name,
        a=sum(a for a, _ in found),
        b=sum(b for _, b in found),
        n=len(found),
        only_a=only_a,
        only_b=only_b,
        p_value=mcnemar_exact(only_a, only_b),
    )


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """McNemar's exact two-sided p-value (McNemar 1947, by the binomial distribution).

    If both prompts err equally often, an article that just one of them gets wrong is as likely the
    one's as the other's.
    """
    n = only_a + only_b
    tail = sum(comb(n, k) for k in range(min(only_a, only_b) + 1))
    return float(min(1.0, 2 * tail / 2**n))


def _scores(pairs: _Pairs) -> list[PairedScores]:
    both = [(a, b) for a, b in pairs if a.overall is not None and b.overall is not None]
    found = [
        _shift(
            f"overall score, {name.replace('_', '-')}",
            [(a.overall, b.overall) for a, b in both if a.class_name == name],
        )
        for name in CLASSES
    ]
    grounded = [
        (a.grounding.own - a.grounding.other, b.grounding.own - b.grounding.other)
        for a, b in both
        if a.grounding is not None and b.grounding is not None
    ]
    grounding = _shift("grounding (own minus other articles)", grounded)
    variances = [
        (float(np.var(a.scores)), float(np.var(b.scores)))
        for a, b in both
        if a.scores is not None and b.scores is not None and a.class_name != "off_topic"
    ]
    return [*found, grounding, _shift("variance across dimensions", variances)]


def _shift(name: str, pairs: Sequence[tuple[float | None, float | None]]) -> PairedScores:
    values = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    if not len(values):
        return PairedScores(name, 0, None, None, None, None, None, None)
    means = values.mean(axis=0)
    differences = values[:, 1] - values[:, 0]
    interval = bootstrap_mean(differences) if len(values) > 1 else None
    return PairedScores(
        name=name,
        n=len(values),
        a=float(means[0]),
        b=float(means[1]),
        difference=float(differences.mean()),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p_value=_wilcoxon(differences),
    )


def _wilcoxon(differences: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    """Wilcoxon's signed-rank test (Wilcoxon 1945); equal pairs say nothing and are left out."""
    from scipy.stats import wilcoxon

    moved = differences[np.abs(differences) > _ROUNDING]
    return float(wilcoxon(moved).pvalue) if len(moved) else None


def conclusions(errors: Sequence[PairedErrors]) -> list[str]:
    """What the paired tests show, one sentence a kind of error; what is shown comes first."""
    shown = [one for one in errors if one.better]
    not_shown = [one for one in errors if not one.better]
    sentences = [
        f"{one.better} has fewer {one.name}: {_counts(one)}, p {_p(one.p_value)}." for one in shown
    ]
    sentences += [
        f"{one.name[0].upper()}{one.name[1:]}: no difference shown with this n ({_counts(one)},"
        f" p {_p(one.p_value)})."
        for one in not_shown
    ]
    return sentences


def _counts(one: PairedErrors) -> str:
    """The winner's count first, else A's."""
    first, second = (one.a, one.b) if one.better != "B" else (one.b, one.a)
    return f"{first} vs {second} of {one.n}"


def _p(value: float) -> str:
    return "< 0.001" if value < SMALLEST_P else f"= {value:.3f}"


def headline(comparison: Comparison) -> str:
    """Which prompt is the better one, in a few words."""
    better = {one.better for one in comparison.errors} - {""}
    if not better:
        return "No difference shown with this n"
    if len(better) == 1:
        return f"{better.pop()} is better"
    return "Each is better at something"
