from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from distillery_core.verdicts import Measurement, fisher_one_sided, rate, worse_by


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_fisher_equals_scipy(n_a, n_b, data):
    a = data.draw(st.integers(0, n_a))
    b = data.draw(st.integers(0, n_b))
    expected = fisher_exact([[a, n_a - a], [b, n_b - b]], alternative="greater").pvalue
    assert fisher_one_sided(a, n_a, b, n_b) == pytest.approx(expected, abs=1e-9)


def test_more_errors_are_worse():
    difference, p_value = worse_by(rate(2, 40), rate(10, 40))
    assert difference == Measurement(pytest.approx(0.2), n=40)
    assert p_value.value == pytest.approx(0.0119, abs=1e-3)


def test_fewer_successes_are_worse():
    difference, p_value = worse_by(rate(100, 100), rate(80, 90), higher_is_worse=False)
    assert difference.value == pytest.approx(1 / 9)
    assert difference.n == 90
    assert p_value.value < 0.001


def test_nothing_to_compare():
    assert worse_by(rate(0, 0), rate(1, 20)) == (Measurement(n=0), Measurement(n=0))


def test_counts_are_needed():
    with pytest.raises(ValueError, match="count and n"):
        worse_by(Measurement(0.1, n=10), rate(1, 20))
