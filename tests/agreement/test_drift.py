"""Drift: noise alone does not fire, however long the job; a shift does, soon."""

from __future__ import annotations

import numpy as np
import pytest

from distillery_core.agreement.drift import FALSE_ALARMS, CanaryRound, drifts_between
from distillery_core.agreement.ratings import Floats

NAMES = ("harm", "area", "loss")


def answers(
    random: np.random.Generator, truth: Floats, shift: float = 0.0
) -> list[dict[str, float]]:
    noisy = np.clip(np.round(truth + shift + random.normal(0, 1.2, truth.shape)), 0, 10)
    return [dict(zip(NAMES, row, strict=True)) for row in noisy.tolist()]


def fires(random: np.random.Generator, rounds: int, shift_from: int, shift: float) -> int | None:
    """The round that fires in a job of so many, None if none does."""
    truth = random.uniform(1, 9, (20, 3))
    first = answers(random, truth)
    for round in range(1, rounds + 1):
        now = answers(random, truth, shift if round >= shift_from else 0.0)
        if any(drift.fired for drift in drifts_between(first, now, round=round, limit=0.5)):
            return round
    return None


def test_a_noisy_stable_oracle_hardly_ever_stops_a_job() -> None:
    random = np.random.default_rng(1)
    stopped = sum(fires(random, 40, 99, 0.0) is not None for _ in range(60))
    # 5 % at most; noise in the first answers is shared by all rounds, which makes it fewer still.
    assert stopped <= 60 * FALSE_ALARMS + 3


def test_a_shift_is_seen_in_the_round_after_it() -> None:
    random = np.random.default_rng(2)
    rounds = [fires(random, 20, 10, 2.5) for _ in range(30)]
    assert sum(round == 10 for round in rounds) >= 26
    assert sum(round is None or round < 10 for round in rounds) <= 30 * FALSE_ALARMS + 1


def test_an_oracle_without_noise_fires_on_a_shift_and_not_below_the_limit() -> None:
    first = [dict.fromkeys(NAMES, 4.0)] * 8
    for shift, expected in ((0.4, False), (1.0, True)):
        now = [dict.fromkeys(NAMES, 4.0 + shift)] * 8
        found = CanaryRound(3, 8, 100, drifts_between(first, now, round=3, limit=0.5))
        assert bool(found.fired) is expected
    assert found.largest is not None
    assert found.largest.words() == "harm +1.00 (+1.00 to +1.00)"


def test_a_handful_of_answers_says_nothing() -> None:
    assert drifts_between([{"harm": 0.0}] * 4, [{"harm": 9.0}] * 4, round=1, limit=0.5) == ()


def test_later_rounds_need_more_evidence() -> None:
    random = np.random.default_rng(3)
    truth = random.uniform(1, 9, (20, 3))
    first, now = answers(random, truth), answers(random, truth)
    early, late = (drifts_between(first, now, round=r, limit=0.5)[0] for r in (1, 100))
    assert late.high - late.low > early.high - early.low
    assert early.bias == pytest.approx(late.bias)
