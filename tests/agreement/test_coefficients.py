"""Alpha and ICC: published worked examples, textbook formulas done slowly, and what must hold."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from distillery_core.agreement.coefficients import coefficients, icc, krippendorff_alpha
from distillery_core.agreement.ratings import Floats

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases/agreement/published.yaml").read_text(encoding="utf-8")
)


def once(articles: int) -> Floats:
    return np.ones((1, articles))


def alpha(values: Floats) -> float:
    return float(krippendorff_alpha(values, once(len(values)))[0])


def table(case: dict[str, object]) -> Floats:
    """Rows are raters or articles, as `rows` says; null is a missing answer."""
    values = np.array(case["values"], dtype=np.float64)
    return values.T if case["rows"] == "raters" else values


@pytest.mark.parametrize("case", CASES["alpha"], ids=lambda case: case["source"])
def test_published_alpha(case: dict[str, object]) -> None:
    assert round(alpha(table(case)), 3) == case["alpha"]


@pytest.mark.parametrize("case", CASES["icc"], ids=lambda case: case["source"])
def test_published_icc(case: dict[str, object]) -> None:
    values = table(case)
    found = icc(values, once(len(values)))
    for name, value in case["expected"].items():  # type: ignore[attr-defined]
        assert round(float(getattr(found, name)[0]), 2) == value, name


def slow_alpha(values: Floats) -> float:
    """Krippendorff's definition over all ordered pairs, with no algebra done to it."""
    units = [row[np.isfinite(row)] for row in values]
    units = [unit for unit in units if len(unit) >= 2]
    everything = np.concatenate(units)
    n = len(everything)
    observed = sum(
        sum((a - b) ** 2 for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units
    )
    expected = sum((a - b) ** 2 for a, b in permutations(everything, 2)) / (n - 1)
    return float(1 - observed / expected)


scores = arrays(
    np.float64,
    st.tuples(st.integers(3, 8), st.integers(2, 4)),
    elements=st.one_of(st.integers(0, 10).map(float), st.just(float("nan"))),
)


@settings(max_examples=60, deadline=None)
@given(scores)
def test_alpha_is_its_definition_with_missing_answers(values: Floats) -> None:
    usable = values[np.isfinite(values).sum(axis=1) >= 2]
    found = alpha(values)
    if len(usable) == 0 or np.nanstd(usable) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(slow_alpha(values), abs=1e-9)


complete = arrays(
    np.float64,
    st.tuples(st.integers(3, 8), st.integers(2, 4)),
    elements=st.integers(0, 10).map(float),
)


@settings(max_examples=60, deadline=None)
@given(complete, st.integers(-5, 5), st.integers(0, 1000))
def test_what_must_hold(values: Floats, offset: int, seed: int) -> None:
    found = icc(values, once(len(values)))
    if np.isnan(found.icc_1[0]):
        return
    shuffled = np.random.default_rng(seed).permutation(values, axis=0)
    assert icc(shuffled, once(len(values))).icc_2 == pytest.approx(found.icc_2)
    assert alpha(values[:, ::-1]) == pytest.approx(alpha(values))
    # The scale's zero and unit do not matter, nor does one rater's offset to consistency.
    assert icc(3 * values + offset, once(len(values))).icc_1 == pytest.approx(found.icc_1)
    moved = values + np.array([float(offset), *[0.0] * (values.shape[1] - 1)])
    if not np.isnan(found.icc_3[0]):
        assert icc(moved, once(len(values))).icc_3 == pytest.approx(found.icc_3, abs=1e-6)
    assert max(found.icc_1[0], found.icc_2[0], found.icc_3[0]) <= 1 + 1e-9


@settings(max_examples=30, deadline=None)
@given(complete, st.integers(0, 1000))
def test_a_weight_is_as_good_as_a_repeated_row(values: Floats, seed: int) -> None:
    weights = np.random.default_rng(seed).integers(1, 4, size=len(values)).astype(np.float64)
    longer = np.repeat(values, weights.astype(int), axis=0)
    for name in ("icc_1", "icc_2", "icc_3", "icc_2k"):
        weighted = getattr(icc(values, weights[None]), name)[0]
        assert weighted == pytest.approx(
            getattr(icc(longer, once(len(longer))), name)[0], nan_ok=True
        )
    found = krippendorff_alpha(values, weights[None])[0]
    assert found == pytest.approx(alpha(longer), nan_ok=True)


def test_an_offset_is_bias_and_no_inconsistency() -> None:
    first = np.random.default_rng(1).integers(0, 11, size=80).astype(np.float64)
    found = coefficients(np.column_stack([first, first + 2]), resamples=200)
    assert found.icc_3.value == pytest.approx(1)
    assert found.icc_2.value < 0.9
    assert found.icc_2.low < found.icc_2.value < found.icc_2.high


def test_what_cannot_be_known_is_not_made_up() -> None:
    nothing = coefficients(np.full((5, 3), np.nan), resamples=10)
    assert (nothing.articles, nothing.complete) == (0, 0)
    assert not nothing.alpha.known
    assert not nothing.icc_2.known
    constant = coefficients(np.full((5, 3), 7.0), resamples=10)
    assert not constant.alpha.known
    assert not constant.icc_1.known
