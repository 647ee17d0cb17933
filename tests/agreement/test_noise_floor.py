"""The noise floor: what two labels made the same way differ by, checked by making them."""

from __future__ import annotations

import numpy as np
import pytest

from distillery_core.agreement import Rater, Ratings
from distillery_core.agreement.combining import Aggregate, combined_scores, is_majority
from distillery_core.agreement.noise_floor import noise_floor, spread_of
from distillery_core.agreement.ratings import Floats


def ratings(values: Floats, raters: tuple[Rater, ...]) -> Ratings:
    ids = tuple(str(n) for n in range(len(values)))
    return Ratings(ids, raters, ("harm",), values[:, :, None])


@pytest.mark.parametrize("aggregate", ["median", "mean"])
@pytest.mark.parametrize("answers", [2, 3, 5])
def test_it_is_what_fresh_labels_differ_by(aggregate: Aggregate, answers: int) -> None:
    random = np.random.default_rng(answers)
    truth = random.uniform(2, 8, (4000, 1))
    combine = np.median if aggregate == "median" else np.mean
    first, second = (truth + random.normal(0, 0.7, (4000, answers)) for _ in range(2))
    raters = tuple(Rater("a", n + 1) for n in range(answers))
    found = noise_floor(ratings(first, raters), aggregate)
    assert found is not None
    assert (found.basis, found.answers, found.articles) == ("repeats", answers, 4000)
    really = np.abs(combine(first, axis=1) - combine(second, axis=1)).mean()
    assert found.label["harm"] == pytest.approx(really, rel=0.05)
    assert found.single["harm"] == pytest.approx(2 * 0.7 / np.pi**0.5, rel=0.05)


def test_offsets_between_oracles_are_bias_and_no_noise() -> None:
    random = np.random.default_rng(8)
    truth = random.uniform(2, 8, (3000, 1))
    values = truth + random.normal(0, 0.5, (3000, 2)) + np.array([0.0, 3.0])
    found = noise_floor(ratings(values, (Rater("a"), Rater("b"))), "mean")
    assert found is not None
    assert found.basis == "oracles"
    assert found.single["harm"] == pytest.approx(2 * 0.5 / np.pi**0.5, rel=0.05)


def test_one_answer_each_says_nothing() -> None:
    assert noise_floor(ratings(np.ones((4, 1)), (Rater("a"),)), "median") is None


# Variance of the median of k standard normal draws (David and Nagaraja 2003, section 8.5 and
# tables cited there); k = 2 is the mean.
@pytest.mark.parametrize(
    ("answers", "variance"), [(1, 1.0), (2, 0.5), (3, 0.4487), (5, 0.2868), (7, 0.2104)]
)
def test_the_spread_of_a_median(answers: int, variance: float) -> None:
    assert spread_of(answers, "median") ** 2 == pytest.approx(variance, rel=0.01)


def test_labels_of_several_answers() -> None:
    answers = [{"harm": 2.0}, {"harm": 9.0}, {"harm": 3.0}]
    assert combined_scores(answers, "median") == {"harm": 3.0}
    assert combined_scores(answers, "mean") == {"harm": 4.666667}
    assert combined_scores(answers[:2], "median") == {"harm": 5.5}
    assert combined_scores(answers[::-1], "mean") == combined_scores(answers, "mean")
    assert [is_majority(valid, 4) for valid in (1, 2, 3)] == [False, False, True]
    assert not is_majority(1, 2)
