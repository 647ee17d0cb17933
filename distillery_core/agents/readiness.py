"""The oracle readiness agent: what an oracle makes of random articles, before a corpus is labelled.

A stratified sample says how well a prompt tells classes apart; a random one says how often each
score occurs, and with that what the full job will bring and cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Any

import numpy as np

from distillery_core.agents.calibration_figures import BAND_NAMES, histogram
from distillery_core.agents.definition import load_agent
from distillery_core.agents.publishing import Evidence, Judged, publish
from distillery_core.agents.reading import NOT_READ
from distillery_core.agents.rounds import Asked
from distillery_core.dataset.quality import FilterKind, filter_kind
from distillery_core.fence import normalised_key
from distillery_core.files import sha256_json
from distillery_core.filters.filter import Filter
from distillery_core.types import Article, Scores
from distillery_core.verdicts.decision import decide
from distillery_core.verdicts.measurement import Measurement, rate

AGENT = "oracle_readiness"
ROUND = "readiness"
_SHOWN_FAILURES = 10


@dataclass(frozen=True, slots=True)
class RandomAnswer:
    """One random article; scores by dimension and overall are 0-10, None without a usable answer.

    `failure` says why there is none, and `rejected` that there was an unusable one.
    """

    article: Article
    scores: Scores | None = None
    overall: float | None = None
    failure: str = ""
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class FullJob:
    """What labelling the whole corpus will take.

    Attributes:
        corpus: articles in it; `blocked` of them the pre-filter keeps out.
        to_ask: calls still to be made, if each succeeds at once.
        low_usd, high_usd: their cost; what it would be where `paid` is False.
        seconds: at the measured latency and `concurrency` calls in flight; None where no latency
            was measured.
        input_tokens, output_tokens: measured means of a call.
    """

    corpus: int
    blocked: int
    to_ask: int
    low_usd: float
    high_usd: float
    paid: bool
    seconds: float | None
    concurrency: int
    input_tokens: float
    output_tokens: float
    basis: str


@dataclass(frozen=True)
class ReadinessInput:
    """What readiness is judged from; `oracle`, `seed` and `date` as for a calibration round."""

    answers: Sequence[RandomAnswer]
    oracle: str
    seed: int
    date: str
    wanted: int
    cost_usd: float
    job: FullJob


@dataclass(frozen=True, slots=True)
class BaseRate:
    """Share of random articles at or above a score, with what that means for the whole corpus.

    `expected` is the number of such articles among those that pass the pre-filter, as point and
    95 % interval.
    """

    name: str
    at: float
    share: Measurement
    expected: int | None
    expected_low: int | None
    expected_high: int | None
    of_interest: bool


@dataclass(frozen=True, slots=True)
class Spread:
    """One dimension over all answers."""

    name: str
    mean: float | None
    std: float | None
    lowest: float | None
    highest: float | None


def judge_readiness(filter: Filter, given: ReadinessInput, folder: Path, project: Path) -> Judged:
    """Judge an oracle on random articles and write its report into `folder`.

    Args:
        project: where `agents/` is looked up first.
    """
    agent = load_agent(AGENT, project)
    measured = readiness_measurements(filter, given.answers)
    kind = _kind(filter, given.answers)
    table = agent.table(ROUND, {}, filter.folder / "config.yaml")
    decision = decide(table, measured, kind.kind)
    context = _context(filter, given, measured, kind)
    evidence = _evidence(filter, given, context)
    return publish(
        agent,
        filter,
        ROUND,
        decision,
        measured,
        evidence,
        NOT_READ,
        None,
        context,
        folder,
        kind.kind,
    )


def readiness_measurements(
    filter: Filter, answers: Sequence[RandomAnswer]
) -> dict[str, Measurement]:
    """Every line of the readiness table."""
    scored = _overall(answers)
    spreads = [one for one in spread(filter, answers) if one.std is not None]
    n = len(scored)
    return {
        "success": rate(n, len(answers), note=_why_not(answers)),
        "lowest_std": _extreme(min, spreads, n),
        "highest_std": _extreme(max, spreads, n),
        "constant_dimensions": _constant(spreads, n),
        "severe_articles": _reaching(scored, filter.config.calibration.severe_at),
    }


def _why_not(answers: Sequence[RandomAnswer]) -> str:
    rejected = sum(one.rejected for one in answers)
    failed = sum(one.scores is None for one in answers) - rejected
    parts = [f"{rejected} unusable answers"] if rejected else []
    return ", ".join([*parts, f"{failed} without an answer"] if failed else parts)


def _extreme(choose: Any, spreads: Sequence[Spread], n: int) -> Measurement:
    if n < 2:
        return Measurement(n=n)
    found: Spread = choose(spreads, key=lambda one: one.std)
    return Measurement(found.std, n=n, note=found.name)


def _constant(spreads: Sequence[Spread], n: int) -> Measurement:
    if n < 2:
        return Measurement(n=n)
    names = [one.name for one in spreads if one.lowest == one.highest]
    return Measurement(float(len(names)), n=n, note=", ".join(names))


def _reaching(scored: Sequence[float], cut: float) -> Measurement:
    if not scored:
        return Measurement(n=0)
    return Measurement(float(sum(value >= cut for value in scored)), n=len(scored))


def spread(filter: Filter, answers: Sequence[RandomAnswer]) -> list[Spread]:
    """One entry per dimension, in the config's order."""
    return [_spread(name, answers) for name in filter.dimensions]


def _spread(name: str, answers: Sequence[RandomAnswer]) -> Spread:
    values = [one.scores[name] for one in answers if one.scores is not None]
    if not values:
        return Spread(name, None, None, None, None)
    return Spread(name, fmean(values), pstdev(values), min(values), max(values))


def base_rates(filter: Filter, answers: Sequence[RandomAnswer], askable: int) -> list[BaseRate]:
    """The share at or above each tier and the severe cut, the highest first.

    Args:
        askable: articles of the corpus that pass the pre-filter.
    """
    cuts = filter.config.calibration
    named = [(tier.at, tier.name) for tier in filter.config.scoring.tiers if tier.at > 0]
    named += [(cuts.on_topic_at, "on-topic cut"), (cuts.severe_at, "severe cut")]
    scored = _overall(answers)
    return [
        _base_rate(filter, [name for own, name in named if own == at], at, scored, askable)
        for at in sorted({at for at, _ in named}, reverse=True)
    ]


def _base_rate(
    filter: Filter, names: Sequence[str], at: float, scored: Sequence[float], askable: int
) -> BaseRate:
    share = rate(sum(value >= at for value in scored), len(scored))
    return BaseRate(
        name=", ".join(names),
        at=at,
        share=share,
        expected=_times(share.value, askable),
        expected_low=_times(share.low, askable),
        expected_high=_times(share.high, askable),
        of_interest=at == filter.operating_point,
    )


def _times(share: float | None, askable: int) -> int | None:
    return None if share is None else round(share * askable)


def _overall(answers: Sequence[RandomAnswer]) -> list[float]:
    return [one.overall for one in answers if one.overall is not None]


def _kind(filter: Filter, answers: Sequence[RandomAnswer]) -> FilterKind:
    """General or needle; without any answer it is not known, so the stricter table is used."""
    scored = _overall(answers)
    if not scored:
        return FilterKind("general", 0.0, "nothing was scored")
    return filter_kind(filter, np.array(scored, dtype=np.float64))


def _context(
    filter: Filter,
    given: ReadinessInput,
    measured: Mapping[str, Measurement],
    kind: FilterKind,
) -> dict[str, Any]:
    scored = _overall(given.answers)
    failures = [one for one in given.answers if one.scores is None]
    return {
        "date": given.date,
        "oracle": given.oracle,
        "seed": given.seed,
        "wanted": given.wanted,
        "asked": len(given.answers),
        "scored": len(scored),
        "severe_at": filter.config.calibration.severe_at,
        "operating_point": filter.operating_point,
        "kind_reason": kind.reason,
        "rates": base_rates(filter, given.answers, given.job.corpus - given.job.blocked),
        "spreads": spread(filter, given.answers),
        "bands": BAND_NAMES,
        "histogram": histogram(scored),
        "mean": fmean(scored) if scored else None,
        "median": median(scored) if scored else None,
        "failures": [
            {"id": one.article.id, "failure": one.failure} for one in failures[:_SHOWN_FAILURES]
        ],
        "more_failures": max(len(failures) - _SHOWN_FAILURES, 0),
        "job": given.job,
        "cost_usd": given.cost_usd,
        "measured": measured,
    }


def _evidence(filter: Filter, given: ReadinessInput, context: Mapping[str, Any]) -> Evidence:
    keys = sorted(normalised_key(one.article.content) for one in given.answers)
    job = asdict(given.job)
    return Evidence(
        hashes={
            **vars(Asked.of(filter, given.oracle)),
            "scoring_sha256": filter.scoring_sha256,
            "sample_sha256": sha256_json(keys),
        },
        counts={"asked": context["asked"], "scored": context["scored"], "corpus": job["corpus"]},
        numbers={
            "date": given.date,
            "seed": given.seed,
            "cost_usd": given.cost_usd,
            "kind_reason": context["kind_reason"],
            "rates": [_rate_row(one) for one in context["rates"]],
            "spreads": [asdict(one) for one in context["spreads"]],
            "histogram": list(context["histogram"]),
            "job": job,
        },
    )


def _rate_row(one: BaseRate) -> dict[str, Any]:
    row = asdict(one)
    share = row.pop("share")
    return row | {key: share[key] for key in ("value", "count", "n", "low", "high")}
