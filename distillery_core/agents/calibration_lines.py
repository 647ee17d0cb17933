"""The measurements of the prompt calibration table, as pure functions of observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean, pvariance

from distillery_core.agents.grounding import grounding_lift
from distillery_core.agents.observations import Observation, observe, of_class
from distillery_core.agents.scored import ScoredArticle
from distillery_core.dataset.classes import SampleClass
from distillery_core.filters.filter import Filter
from distillery_core.types import Scores
from distillery_core.verdicts.comparison import worse_by
from distillery_core.verdicts.measurement import Measurement, not_applicable, rate

FLAT = 0.5
"""Variance across dimensions below which an answer counts as flat (criteria: "variance < 0.5")."""

Measured = dict[str, Measurement]


def calibration_measurements(
    filter: Filter,
    scored: Sequence[ScoredArticle],
    *,
    classes_reviewed: bool,
    repeats: Mapping[str, Sequence[Scores]] | None = None,
) -> Measured:
    """Every line of the prompt calibration table for one sample.

    Args:
        scored: the sample with its answers (`scored.score_sample`).
        classes_reviewed: whether people or a reader who saw no score judged the classes.
        repeats: article id -> scores of further, independent answers.
    """
    found = measure(filter, observe(filter.dimensions, scored), classes_reviewed=classes_reviewed)
    return {**found, "repeatability": repeatability(filter, scored, repeats or {})}


def measure(filter: Filter, seen: Sequence[Observation], *, classes_reviewed: bool) -> Measured:
    """Every line that observations alone can answer, over one or several pooled samples."""
    return {
        **_at_the_cuts(filter, seen),
        **_across_dimensions(filter, seen),
        **_grounded(seen),
        **_enough(filter, seen),
        "classes_reviewed": Measurement(float(classes_reviewed), n=len(seen)),
    }


def _at_the_cuts(filter: Filter, seen: Sequence[Observation]) -> Measured:
    cuts = filter.config.calibration
    off_topic, on_topic = of_class(seen, "off_topic"), of_class(seen, "on_topic")
    return {
        "off_topic_false_positives": share_at(off_topic, cuts.on_topic_at),
        "severe_false_positives": share_at(off_topic, cuts.severe_at),
        "on_topic_misses": share_below(on_topic, cuts.on_topic_at),
        "any_severe_on_topic": Measurement(
            sum(value >= cuts.severe_at for value in on_topic), n=len(on_topic)
        ),
    }


def share_at(values: Sequence[float], cut: float) -> Measurement:
    """Share of overall scores at or above a cut, with its Wilson interval."""
    return rate(sum(value >= cut for value in values), len(values))


def share_below(values: Sequence[float], cut: float) -> Measurement:
    """Share of overall scores below a cut, with its Wilson interval."""
    return rate(sum(value < cut for value in values), len(values))


def _across_dimensions(filter: Filter, seen: Sequence[Observation]) -> Measured:
    constant = constant_dimensions(filter, seen)
    note = ", ".join(constant)
    n = sum(one.scores is not None for one in seen)
    # One article cannot show that a dimension varies, so it cannot show that it is constant.
    count = float(len(constant)) if n > 1 else None
    return {
        **_variances(filter, seen),
        "constant_dimensions": Measurement(count, n=n, note=note),
    }


def _variances(filter: Filter, seen: Sequence[Observation]) -> Measured:
    if len(filter.dimensions) < 2:
        why = not_applicable("the filter has one dimension")
        return {"dimension_variance": why, "flat_share": why}
    variances = [
        pvariance(one.scores)
        for one in seen
        if one.scores is not None and one.class_name != "off_topic"
    ]
    mean = fmean(variances) if variances else None
    return {
        "dimension_variance": Measurement(mean, n=len(variances)),
        "flat_share": rate(sum(value < FLAT for value in variances), len(variances)),
    }


def constant_dimensions(filter: Filter, seen: Sequence[Observation]) -> list[str]:
    """The dimensions that have one value in all answers (always 0 and always 10 among them)."""
    answers = [one.scores for one in seen if one.scores is not None]
    return [
        name
        for column, name in enumerate(filter.dimensions)
        if len({scores[column] for scores in answers}) == 1
    ]


def _grounded(seen: Sequence[Observation]) -> Measured:
    lift = grounding_lift([one.grounding for one in seen])
    if lift.applicable:
        probe = not_applicable("the answers carry explanations, which the grounding lift judges")
        return {"grounding_lift": lift, "swap_probe": probe}
    return {"grounding_lift": lift, "swap_probe": swap_probe(seen)}


def swap_probe(seen: Sequence[Observation]) -> Measurement:
    """How many answers change when on-topic and off-topic articles are swapped in pairs.

    A prompt that carries another article is byte for byte that article's own prompt, so the answer
    to the swapped request is the one already stored for the other article.
    """
    off_topic = _answers(seen, "off_topic")
    pairs = list(zip(_answers(seen, "on_topic"), off_topic, strict=False))
    if not pairs:
        return Measurement(n=0, note="no on-topic and off-topic answers to swap")
    return Measurement(sum(one != other for one, other in pairs), n=len(pairs))


def _answers(seen: Sequence[Observation], name: SampleClass) -> list[tuple[float, ...]]:
    return [one.scores for one in seen if one.scores is not None and one.class_name == name]


def _enough(filter: Filter, seen: Sequence[Observation]) -> Measured:
    asked = [one for one in seen if one.state != "blocked"]
    answered = sum(one.state == "scored" for one in asked)
    return {
        "answered_and_valid": rate(answered, len(asked), note=_why_not(asked)),
        "scored_on_topic": _scored(seen, "on_topic"),
        "scored_off_topic": _scored(seen, "off_topic"),
        "scored_edge": _scored(seen, "edge")
        if filter.config.sampling.has_edge
        else not_applicable("the filter has no edge class"),
    }


def _why_not(asked: Sequence[Observation]) -> str:
    rejected = sum(one.state == "rejected" for one in asked)
    failed = sum(one.state == "failed" for one in asked)
    parts = [f"{rejected} unusable answers"] if rejected else []
    return ", ".join([*parts, f"{failed} without an answer"] if failed else parts)


def _scored(seen: Sequence[Observation], name: SampleClass) -> Measurement:
    drawn = sum(one.class_name == name for one in seen)
    return Measurement(len(of_class(seen, name)), n=drawn)


def repeatability(
    filter: Filter, scored: Sequence[ScoredArticle], repeats: Mapping[str, Sequence[Scores]]
) -> Measurement:
    """Mean absolute difference per dimension between two answers to the same article, over all
    pairs of an article's answers.

    Args:
        repeats: article id -> further answers, one or more.
    """
    answered = [
        (one.scores, *repeats[one.article.id])
        for one in scored
        if one.scores is not None and repeats.get(one.article.id)
    ]
    if not answered:
        return not_applicable("no article was asked twice")
    by_dimension = {
        name: fmean(
            fmean(abs(first[name] - second[name]) for first, second in combinations(answers, 2))
            for answers in answered
        )
        for name in filter.dimensions
    }
    worst = max(by_dimension, key=lambda name: by_dimension[name])
    note = f"largest in {worst}: {by_dimension[worst]:.2f}"
    return Measurement(fmean(by_dimension.values()), n=len(answered), note=note)


_COMPARED = (
    ("false_positives_worse", "false_positives_fisher_p", "off_topic_false_positives", True),
    ("misses_worse", "misses_fisher_p", "on_topic_misses", True),
    ("valid_worse", "valid_fisher_p", "answered_and_valid", False),
)


def validation_measurements(
    validation: Mapping[str, Measurement],
    calibration: Mapping[str, Measurement] | None,
    shared: int,
    note: str = "",
) -> Measured:
    """The lines that compare a validation round with the calibration round of the same prompt.

    Args:
        calibration: the calibration round's measurements; None if this prompt has none.
        shared: articles of the sample that an earlier round had, or near-duplicates of them.
        note: how that was checked.
    """
    found: Measured = {"shared_with_earlier_rounds": Measurement(shared, note=note)}
    for name, p_name, line, higher_is_worse in _COMPARED:
        if calibration is None:
            found[name] = Measurement(note="no calibration round with this prompt")
            continue
        worse, p_value = worse_by(
            calibration[line], validation[line], higher_is_worse=higher_is_worse
        )
        found |= {name: _with_p(worse, p_value), p_name: p_value}
    return found


def _with_p(worse: Measurement, p_value: Measurement) -> Measurement:
    if p_value.value is None:
        return worse
    note = f"one-sided Fisher p = {p_value.value:.3f}"
    return Measurement(worse.value, n=worse.n, note=note)
