"""The split: grouped, stratified, independent of order, stable when labels are added."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_core.dataset.split import Ratios, Split, assign_splits, position
from distillery_core.errors import UserError


def make_table(seed: int, size: int, groups: int) -> list[tuple[int, int]]:
    """Rows as (group, stratum); some groups are large, some span strata, three are always there."""
    rng = random.Random(seed)
    drawn = [
        (min(rng.randrange(groups), rng.randrange(groups)), rng.randrange(3)) for _ in range(size)
    ]
    return [*drawn, (1000, 0), (1001, 1), (1002, 2)]


rows = st.builds(make_table, st.integers(0, 10_000), st.integers(0, 400), st.integers(1, 300))
ratios = st.sampled_from(
    [Ratios(), Ratios(0.7, 0.15, 0.15), Ratios(0.5, 0.25, 0.25), Ratios(0.9, 0, 0.1)]
)


def key_of(group: int) -> int:
    return group * 0x9E3779B97F4A7C15 % 2**64


def split(table: list[tuple[int, int]], wanted: Ratios, name: str = "flood") -> list[Split]:
    groups = [group for group, _ in table]
    return assign_splits(groups, [key_of(g) for g in groups], [s for _, s in table], wanted, name)


@settings(max_examples=80, deadline=None)
@given(rows, ratios)
def test_no_group_stands_in_two_splits(table: list[tuple[int, int]], wanted: Ratios) -> None:
    homes: defaultdict[int, set[str]] = defaultdict(set)
    for (group, _), home in zip(table, split(table, wanted), strict=True):
        homes[group].add(home)
    assert all(len(home) == 1 for home in homes.values())


@settings(max_examples=80, deadline=None)
@given(rows, ratios, st.randoms(use_true_random=False))
def test_order_does_not_matter(
    table: list[tuple[int, int]], wanted: Ratios, rng: random.Random
) -> None:
    first = {group: home for (group, _), home in zip(table, split(table, wanted), strict=True)}
    mixed = rng.sample(table, len(table))
    again = {group: home for (group, _), home in zip(mixed, split(mixed, wanted), strict=True)}
    assert again == first


@settings(max_examples=80, deadline=None)
@given(rows, ratios)
def test_ratios_hold_up_to_one_group_a_stratum(
    table: list[tuple[int, int]], wanted: Ratios
) -> None:
    sizes = Counter(group for group, _ in table)
    counts = Counter(split(table, wanted))
    strata = len({stratum for _, stratum in table})
    # Each boundary inside a stratum is off by at most half its largest group, a split has two;
    # an empty split may have been given one group.
    slack = (strata + 1) * max(sizes.values())
    for name, share in zip(("train", "val", "test"), wanted.shares, strict=True):
        assert abs(counts[name] - share * len(table)) <= slack
        assert bool(counts[name]) == (share > 0)


def test_strata_keep_their_proportions() -> None:
    table = [(n, 0 if n % 20 == 0 else 1 if n % 4 == 0 else 2) for n in range(2000)]
    found = split(table, Ratios())
    for stratum, total in Counter(s for _, s in table).items():
        inside = Counter(home for (_, s), home in zip(table, found, strict=True) if s == stratum)
        assert inside["test"] == pytest.approx(total / 10, abs=1)
        assert inside["val"] == pytest.approx(total / 10, abs=1)


@settings(max_examples=100, deadline=None)
@given(st.integers(30, 300), st.integers(1, 60), st.integers(0, 1000))
def test_added_rows_move_at_most_as_many_as_were_added(old: int, added: int, start: int) -> None:
    before = [(start + n, 0) for n in range(old)]
    after = [*before, *((start + 5000 + n, 0) for n in range(added))]
    first, later = split(before, Ratios()), split(after, Ratios())[:old]
    moved = sum(a != b for a, b in zip(first, later, strict=True))
    assert moved <= 2 * (added + 1)


def test_an_article_keeps_its_split_when_a_tenth_is_added() -> None:
    moved = []
    for seed in range(20):
        before = [(seed * 10_000 + n, n % 3) for n in range(2000)]
        after = [*before, *((seed * 10_000 + 5000 + n, n % 3) for n in range(200))]
        first, later = split(before, Ratios()), split(after, Ratios())[:2000]
        moved.append(np.mean([a != b for a, b in zip(first, later, strict=True)]))
    assert np.mean(moved) < 0.01
    assert max(moved) < 0.025


def test_filters_split_differently_and_versions_do_not() -> None:
    table = [(n, 0) for n in range(300)]
    assert split(table, Ratios(), "flood") != split(table, Ratios(), "storm")
    assert 0 <= position(0, "flood") < 1
    assert position(5, "flood") == position(5, "flood")


def test_a_group_that_would_fill_a_split_goes_to_train() -> None:
    table = [(0, 0)] * 60 + [(n, 0) for n in range(1, 41)]
    found = split(table, Ratios())
    assert found[0] == "train"
    assert Counter(found) == {"train": 80, "val": 10, "test": 10}


def test_small_sets_fill_every_split() -> None:
    assert set(split([(1, 0), (2, 1), (3, 2)], Ratios())) == {"train", "val", "test"}


def test_fewer_texts_than_splits_are_refused() -> None:
    with pytest.raises(UserError, match="2 distinct texts cannot make 3 splits"):
        split([(1, 0), (2, 0), (2, 0)], Ratios())


@pytest.mark.parametrize(
    "shares", [(0.8, 0.1, 0.2), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)]
)
def test_impossible_ratios_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(UserError, match="ratios"):
        Ratios(*shares)
