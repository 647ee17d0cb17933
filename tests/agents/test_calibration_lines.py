from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from distillery_core.agents.calibration_lines import (
    calibration_measurements,
    measure,
    repeatability,
    validation_measurements,
)
from distillery_core.agents.observations import Observation
from distillery_core.filters.filter import Filter
from distillery_core.labelling.run import Setback
from distillery_core.verdicts.measurement import rate


def _seen(class_name: Any, *scores: float, overall: float | None = None) -> Observation:
    value = sum(scores) / len(scores) if overall is None else overall
    return Observation(f"{class_name}{scores}", class_name, "scored", scores, value)


def test_rates_at_the_cuts_by_hand(floods: Filter) -> None:
    seen = [
        *(_seen("off_topic", 0, 0, 0, overall=value) for value in (0.0, 4.99, 5.0, 7.0)),
        *(_seen("on_topic", 0, 0, 0, overall=value) for value in (4.9, 5.0, 6.9)),
    ]
    found = measure(floods, seen, classes_reviewed=True)
    assert (found["off_topic_false_positives"].count, found["off_topic_false_positives"].n) == (
        2,
        4,
    )
    assert found["severe_false_positives"].count == 1
    assert (found["on_topic_misses"].count, found["on_topic_misses"].n) == (1, 3)
    assert found["any_severe_on_topic"].value == 0
    assert found["off_topic_false_positives"].low == pytest.approx(0.15003, abs=1e-4)


def test_variance_is_of_on_topic_and_edge_articles_only(floods: Filter) -> None:
    seen = [
        _seen("on_topic", 2, 4, 6),  # variance 8/3
        _seen("edge", 5, 5, 5),  # 0, flat
        _seen("off_topic", 0, 0, 0),  # rightly flat, not counted
    ]
    found = measure(floods, seen, classes_reviewed=True)
    assert found["dimension_variance"].value == pytest.approx(8 / 6)
    assert (found["flat_share"].count, found["flat_share"].n) == (1, 2)


@pytest.mark.parametrize("value", [0.0, 10.0, 6.5])
def test_a_dimension_that_never_varies_is_named(floods: Filter, value: float) -> None:
    seen = [_seen("on_topic", i, value, 10 - i) for i in range(5)]
    found = measure(floods, seen, classes_reviewed=True)["constant_dimensions"]
    assert (found.value, found.note) == (1, "area")


def test_nothing_scored_is_no_evidence_and_no_crash(floods: Filter) -> None:
    seen = [Observation("k", "on_topic", "failed")]
    found = measure(floods, seen, classes_reviewed=False)
    assert found["off_topic_false_positives"].value is None
    assert found["dimension_variance"].value is None
    assert found["constant_dimensions"].value is None
    assert found["answered_and_valid"].value == 0.0
    assert found["classes_reviewed"].value == 0


def test_failed_and_rejected_count_against_valid_answers_but_blocked_ones_were_not_asked(
    floods: Filter, sample: Callable[..., Any]
) -> None:
    setbacks = {0: "rejected", 1: "failed", 2: "skipped"}

    def score(number: int, name: str) -> Any:
        good = (float(number % 9), 3.0, 1.0)
        return Setback(setbacks[number], "x") if number in setbacks else good

    found = calibration_measurements(floods, sample(score), classes_reviewed=True)
    assert (found["answered_and_valid"].count, found["answered_and_valid"].n) == (47, 49)
    assert found["answered_and_valid"].note == "1 unusable answers, 1 without an answer"
    assert (found["scored_on_topic"].value, found["scored_on_topic"].n) == (17, 20)


def test_an_oracle_that_scores_everything_seven(floods: Filter, sample: Callable[..., Any]) -> None:
    found = calibration_measurements(
        floods, sample(lambda *_: (7.0, 7.0, 7.0)), classes_reviewed=True
    )
    assert found["off_topic_false_positives"].value == 1.0
    assert found["dimension_variance"].value == 0.0
    assert found["flat_share"].value == 1.0
    assert found["constant_dimensions"].value == 3


def test_an_oracle_that_copies_the_first_dimension(
    floods: Filter, sample: Callable[..., Any]
) -> None:
    def copies(number: int, name: str) -> tuple[float, ...]:
        return (8.0 - number % 3,) * 3 if name == "on_topic" else (number % 3 + 0.5,) * 3

    found = calibration_measurements(floods, sample(copies), classes_reviewed=True)
    assert found["off_topic_false_positives"].value == 0.0
    assert found["dimension_variance"].value == 0.0
    assert found["constant_dimensions"].value == 0


def test_without_explanations_the_swap_probe_stands_in(
    floods: Filter, sample: Callable[..., Any]
) -> None:
    found = calibration_measurements(floods, sample(explain=lambda _: None), classes_reviewed=True)
    assert not found["grounding_lift"].applicable
    assert (found["swap_probe"].value, found["swap_probe"].n) == (20, 20)
    blind = calibration_measurements(
        floods,
        sample(lambda *_: (5.0, 4.0, 3.0), explain=lambda _: None),
        classes_reviewed=True,
    )
    assert blind["swap_probe"].value == 0


def test_a_filter_without_edge_class_or_with_one_dimension(
    make_filter: Callable[..., Filter],
) -> None:
    filter = make_filter(
        edge=("sampling: {", "sampling: {has_edge: false, "),
        one=(
            "    harm: {weight: 0.5, description: people hurt}\n"
            "    area: {weight: 0.3, description: area under water}\n"
            "    loss: {weight: 0.2, description: money lost}\n",
            "    harm: {weight: 1.0, description: people hurt}\n",
        ),
    )
    found = measure(filter, [_seen("on_topic", 3.0)], classes_reviewed=True)
    for name in ("scored_edge", "dimension_variance", "flat_share"):
        assert not found[name].applicable


def test_repeatability_by_hand(floods: Filter, sample: Callable[..., Any]) -> None:
    scored = sample(lambda *_: (5.0, 4.0, 3.0))
    second = {"harm": 6.0, "area": 4.0, "loss": 3.5}
    again = {"a0": [second], "a1": [scored[1].scores], "zz": [{}]}
    found = repeatability(floods, scored, again)
    assert found.value == pytest.approx((0.5 + 0.0 + 0.25) / 3)
    assert (found.n, found.note) == (2, "largest in harm: 0.50")
    assert not repeatability(floods, scored, {}).applicable
    # With a third answer every pair counts: 5-6, 5-8, 6-8.
    third = repeatability(floods, scored, {"a0": [second, {**second, "harm": 8.0}]})
    assert third.note == "largest in harm: 2.00"


def test_validation_is_compared_with_calibration() -> None:
    names = ("off_topic_false_positives", "on_topic_misses", "answered_and_valid")
    before = dict(zip(names, (rate(2, 40), rate(4, 40), rate(100, 100)), strict=True))
    after = dict(zip(names, (rate(12, 40), rate(4, 40), rate(98, 100)), strict=True))
    found = validation_measurements(after, before, 0)
    assert found["false_positives_worse"].value == pytest.approx(0.25)
    assert found["false_positives_fisher_p"].value == pytest.approx(0.0034, abs=5e-4)
    assert found["misses_worse"].value == 0.0
    assert found["valid_worse"].value == pytest.approx(0.02)
    assert found["shared_with_earlier_rounds"].value == 0


def test_without_a_calibration_round_there_is_nothing_to_compare() -> None:
    found = validation_measurements({}, None, 3, "how")
    assert found["false_positives_worse"].value is None
    assert found["shared_with_earlier_rounds"].value == 3
