from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_core.verdicts.conditions import Condition

operators = st.sampled_from(["<", "<=", ">", ">="])
numbers = st.floats(-100, 100)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("< 0.10", 0.0999, True),
        ("< 0.10", 0.10, False),
        ("<=0.10", 0.10, True),
        ("> -1", 0, True),
        (">= 20", 19, False),
        (">= 0.10", 0.3 - 0.2, True),  # 0.09999999999999998
        ("< 0.10", 0.3 - 0.2, False),
    ],
)
def test_holds(text, value, holds):
    assert Condition.parse(text).holds(value) is holds


@pytest.mark.parametrize("text", ["", "0.1", "== 1", "< x", "< 1 2", "<", "< nan", "< 1e5"])
def test_what_is_no_condition(text):
    with pytest.raises(ValueError, match="is not a condition"):
        Condition.parse(text)


@settings(deadline=None)
@given(operators, numbers, numbers, numbers)
def test_holds_is_monotone(operator, limit, one, other):
    condition = Condition(operator, limit)
    low, high = sorted((one, other))
    if condition.upward:
        assert condition.holds(high) or not condition.holds(low)
    else:
        assert condition.holds(low) or not condition.holds(high)


@settings(deadline=None)
@given(
    st.builds(Condition, operators, st.integers(-3, 3)),
    st.builds(Condition, operators, st.integers(-3, 3)),
)
def test_overlap_is_what_some_value_shows(one, other):
    values = [step / 2 for step in range(-10, 11)]
    assert one.overlaps(other) == any(one.holds(value) and other.holds(value) for value in values)
