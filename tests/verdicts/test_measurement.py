from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_core.verdicts import Measurement, not_applicable, rate, wilson

finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(
    st.builds(
        Measurement,
        value=st.none() | finite,
        n=st.none() | st.integers(0, 10**6),
        count=st.none() | st.integers(0, 10**6),
        low=st.none() | finite,
        high=st.none() | finite,
        applicable=st.booleans(),
        note=st.text(max_size=20),
    )
)
def test_to_dict_and_back(measurement):
    assert Measurement.from_dict(measurement.to_dict()) == measurement


def test_numpy_numbers_become_plain():
    written = Measurement(np.float32(0.5), n=np.int64(3)).to_dict()
    assert {name: type(value) for name, value in written.items()} == {"value": float, "n": int}


@pytest.mark.parametrize(
    "data",
    [
        {"value": math.nan},
        {"high": math.inf},
        {"value": "7"},
        {"value": True},
        {"n": 2.5},
        {"applicable": 1},
        {"note": 3},
        {"vlaue": 1.0},
        {"value": None},
    ],
)
def test_from_dict_refuses(data):
    with pytest.raises(ValueError, match="measurement"):
        Measurement.from_dict(data)


def test_rate_carries_counts_and_interval():
    measured = rate(4, 5)
    assert (measured.value, measured.count, measured.n) == (0.8, 4, 5)
    assert measured.interval == pytest.approx((0.376, 0.964), abs=5e-4)


def test_rate_of_nothing_has_no_value():
    assert rate(0, 0) == Measurement(n=0, count=0)


@pytest.mark.parametrize(("count", "n"), [(3, 2), (-1, 5), (0, -1)])
def test_impossible_rates_are_refused(count, n):
    with pytest.raises(ValueError, match="not a rate"):
        rate(count, n)


def test_wilson_limits_named_in_the_lessons():
    assert wilson(0, 20)[1] == pytest.approx(0.161, abs=5e-4)  # 0 of 20 leaves up to 16 %
    assert wilson(0, 35)[1] < 0.10 < wilson(0, 34)[1]  # < 10 % needs 35
    assert wilson(0, 73)[1] < 0.05 + 1e-4


@settings(deadline=None)
@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_encloses_the_share(pair):
    low, high = wilson(*pair)
    assert 0.0 <= low <= pair[0] / pair[1] + 1e-12
    assert pair[0] / pair[1] - 1e-12 <= high <= 1.0


def test_nan_is_no_evidence():
    assert Measurement(math.nan).point is None
    assert Measurement(1.0, low=0.0, high=math.inf).interval is None


def test_not_applicable_says_why():
    assert not_applicable("no repeats") == Measurement(applicable=False, note="no repeats")
