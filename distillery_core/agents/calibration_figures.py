"""The figures a calibration report shows beside its verdict table, all computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from distillery_core.agents.calibration_lines import share_at, share_below
from distillery_core.agents.observations import Observation, of_class
from distillery_core.agents.rounds import Round
from distillery_core.agents.scored import ScoredArticle
from distillery_core.dataset.classes import CLASSES, SampleClass
from distillery_core.filters.filter import Filter
from distillery_core.student.measures.metrics import BANDS
from distillery_core.verdicts.measurement import Measurement

CUT_STEP = 0.5
"""Both rates are also shown this far below and above the on-topic cut (criteria: cut +-0.5)."""

_PROMPT_DIGITS = 8

BAND_NAMES = tuple(name for name, _, _ in BANDS)


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class of the sample; scores are overall scores, 0-10, None where none was scored."""

    name: SampleClass
    asked_for: int
    drawn: int
    scored: int
    blocked: int
    without_answer: int
    mean: float | None
    median: float | None
    lowest: float | None
    highest: float | None
    histogram: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AtCut:
    """Both rates if the on-topic cut lay here."""

    cut: float
    chosen: bool
    false_positives: Measurement
    misses: Measurement


@dataclass(frozen=True, slots=True)
class PooledSample:
    """One sample of the pool; `current` is the one just scored."""

    date: str
    seed: int
    scored: int
    false_positives: float | None
    misses: float | None
    current: bool


@dataclass(frozen=True, slots=True)
class Spent:
    """What a round's calls took, in USD: the sample's answers, the probes, scopes and reading."""

    answers: float
    probes: float
    reading: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Money in USD.

    `paid` is False for recorded answers: the amounts are what they would have cost. `per_article`
    is of a label alone. `remaining` counts the articles still to be labelled, None where the corpus
    is not at hand.
    """

    paid: bool
    spent: Spent
    this_round: float
    so_far: float
    per_article: float | None
    to_fix: float | None
    remaining: int | None
    the_rest: float | None


@dataclass(frozen=True, slots=True)
class Mislabelled:
    """What this prompt would do to other articles: wrong ones of each 1,000 of a class."""

    off_topic_per_thousand: float | None
    on_topic_per_thousand: float | None


def class_figures(seen: Sequence[Observation], asked_for: Mapping[str, int]) -> list[ClassFigures]:
    """One entry per class that was asked for or drawn."""
    found = [_class(name, seen, asked_for.get(name, 0)) for name in CLASSES]
    return [one for one in found if one.asked_for or one.drawn]


def _class(name: SampleClass, seen: Sequence[Observation], asked_for: int) -> ClassFigures:
    mine = [one for one in seen if one.class_name == name]
    values = of_class(mine, name)
    return ClassFigures(
        name=name,
        asked_for=asked_for,
        drawn=len(mine),
        scored=len(values),
        blocked=sum(one.state == "blocked" for one in mine),
        without_answer=sum(one.state in ("failed", "rejected") for one in mine),
        mean=fmean(values) if values else None,
        median=median(values) if values else None,
        lowest=min(values, default=None),
        highest=max(values, default=None),
        histogram=histogram(values),
    )


def histogram(values: Sequence[float]) -> tuple[int, ...]:
    """How many values lie in each of the bands 0-2, 3-4, 5-6, 7-8, 9-10."""
    return tuple(sum(low <= value < high for value in values) for _, low, high in BANDS)


def around_the_cut(filter: Filter, seen: Sequence[Observation]) -> list[AtCut]:
    """Both rates at the on-topic cut and half a point to each side."""
    chosen = filter.config.calibration.on_topic_at
    off_topic, on_topic = of_class(seen, "off_topic"), of_class(seen, "on_topic")
    return [
        AtCut(cut, cut == chosen, share_at(off_topic, cut), share_below(on_topic, cut))
        for cut in (chosen - CUT_STEP, chosen, chosen + CUT_STEP)
    ]


def auc(seen: Sequence[Observation]) -> float | None:
    """Probability that an on-topic article scores above an off-topic one, ties half.

    The area under the ROC curve (Mann-Whitney), which needs no cut; None without both classes.
    """
    on_topic, off_topic = of_class(seen, "on_topic"), of_class(seen, "off_topic")
    if not on_topic or not off_topic:
        return None
    won = sum((high > low) + 0.5 * (high == low) for high in on_topic for low in off_topic)
    return won / (len(on_topic) * len(off_topic))


def pool_figures(filter: Filter, pool: Sequence[Round], current: Round) -> list[PooledSample]:
    """The samples that were judged together, as the criteria want them listed."""
    cut = filter.config.calibration.on_topic_at
    return [
        PooledSample(
            date=one.date,
            seed=one.seed,
            scored=sum(seen.scores is not None for seen in one.seen),
            false_positives=share_at(of_class(one.seen, "off_topic"), cut).value,
            misses=share_below(of_class(one.seen, "on_topic"), cut).value,
            current=one is current,
        )
        for one in pool
    ]


def costs(current: Round, spent: Spent, others: Sequence[Round], remaining: int | None) -> Costs:
    """Money of this round, of all rounds so far (what recorded answers would have cost is not added
    to what others did), to fix the prompt, and for the rest.

    A fix is the same sample once more with a changed prompt, then a fresh validation sample of the
    same size; each is taken to cost what this round did.
    """
    asked = sum(one.state != "blocked" for one in current.seen)
    each = spent.answers / asked if asked else None
    return Costs(
        paid=current.paid,
        spent=spent,
        this_round=current.cost_usd,
        so_far=current.cost_usd + sum(one.cost_usd for one in others if one.paid is current.paid),
        per_article=each,
        to_fix=None if each is None else current.cost_usd * 2,
        remaining=remaining,
        the_rest=None if each is None or remaining is None else each * remaining,
    )


@dataclass(frozen=True, slots=True)
class TrendRow:
    """One round of the filter's history; rates 0-1, None where nothing was scored."""

    number: int
    date: str
    kind: str
    prompt: str
    seed: int
    scored: int
    false_positives: float | None
    misses: float | None
    valid: float | None
    cost: float


def trend(rounds: Sequence[Round]) -> list[TrendRow]:
    """The rounds in their order, with the rates each was judged by when it was scored."""
    return [
        TrendRow(
            number=number,
            date=one.date,
            kind=one.kind,
            prompt=one.asked.prompt_sha256[:_PROMPT_DIGITS],
            seed=one.seed,
            scored=sum(seen.scores is not None for seen in one.seen),
            false_positives=one.rates.get("off_topic_false_positives"),
            misses=one.rates.get("on_topic_misses"),
            valid=one.rates.get("answered_and_valid"),
            cost=one.cost_usd,
        )
        for number, one in enumerate(rounds, 1)
    ]


def mislabelled(measured: Mapping[str, Measurement]) -> Mislabelled:
    """Wrong labels of each 1,000 articles per class, at the measured rates."""
    rates = [measured[name].value for name in ("off_topic_false_positives", "on_topic_misses")]
    thousandfold = [None if value is None else value * 1000 for value in rates]
    return Mislabelled(*thousandfold)


def worst_false_positives(
    filter: Filter, scored: Sequence[ScoredArticle], n: int
) -> list[ScoredArticle]:
    """Off-topic articles at or above the cut, the highest first."""
    cut = filter.config.calibration.on_topic_at
    found = [one for one in scored if one.class_name == "off_topic" and _overall(one, -1) >= cut]
    return sorted(found, key=lambda one: (-_overall(one, -1), one.article.id))[:n]


def worst_misses(filter: Filter, scored: Sequence[ScoredArticle], n: int) -> list[ScoredArticle]:
    """On-topic articles below the cut, the lowest first."""
    cut = filter.config.calibration.on_topic_at
    found = [one for one in scored if one.class_name == "on_topic" and _overall(one, 99) < cut]
    return sorted(found, key=lambda one: (_overall(one, 99), one.article.id))[:n]


def _overall(one: ScoredArticle, without: float) -> float:
    return without if one.overall is None else one.overall


@dataclass(frozen=True, slots=True)
class DimensionFigures:
    """Mean score of one dimension per class, and its range over all; None where none was scored."""

    name: str
    on_topic: float | None
    off_topic: float | None
    edge: float | None
    lowest: float | None
    highest: float | None


def dimension_figures(filter: Filter, seen: Sequence[Observation]) -> list[DimensionFigures]:
    """One entry per dimension, in the config's order."""
    return [_dimension(name, at, seen) for at, name in enumerate(filter.dimensions)]


def _dimension(name: str, at: int, seen: Sequence[Observation]) -> DimensionFigures:
    values = [(one.class_name, one.scores[at]) for one in seen if one.scores is not None]
    every = [value for _, value in values]
    by_class = {label: [value for own, value in values if own == label] for label in CLASSES}
    means = {label: fmean(some) if some else None for label, some in by_class.items()}
    return DimensionFigures(
        name, **means, lowest=min(every, default=None), highest=max(every, default=None)
    )
