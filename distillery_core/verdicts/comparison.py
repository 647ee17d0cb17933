"""Compares a rate of the validation round with that of the calibration round."""

from __future__ import annotations

from math import comb

from distillery_core.verdicts.measurement import Measurement


def worse_by(
    calibration: Measurement, validation: Measurement, *, higher_is_worse: bool = True
) -> tuple[Measurement, Measurement]:
    """How much worse validation is, and how easily chance alone would make it so.

    Args:
        calibration, validation: rates with `count` and `n`.
        higher_is_worse: True for errors, False for successes (answered and valid).

    Returns:
        The difference of the rates (positive: worse; n is the smaller sample), and the one-sided
        Fisher p-value. Both are without value where a round has no articles.
    """
    if not calibration.n or not validation.n:
        return Measurement(n=0), Measurement(n=0)
    before, n_before = _failures(calibration, higher_is_worse)
    after, n_after = _failures(validation, higher_is_worse)
    smaller = min(n_before, n_after)
    difference = after / n_after - before / n_before
    p_value = fisher_one_sided(after, n_after, before, n_before)
    return Measurement(difference, n=smaller), Measurement(p_value, n=n_before + n_after)


def _failures(measured: Measurement, higher_is_worse: bool) -> tuple[int, int]:
    count, n = measured.count, measured.n
    if count is None or n is None:
        raise ValueError("a comparison needs rates with count and n")
    return (count if higher_is_worse else n - count), n


def fisher_one_sided(count_a: int, n_a: int, count_b: int, n_b: int) -> float:
    """Fisher's exact probability that a has `count_a` or more, if a and b share one rate.

    The upper tail of the hypergeometric distribution (Fisher 1935), in exact integers.
    """
    total = count_a + count_b
    most = min(total, n_a)
    ways = sum(comb(n_a, k) * comb(n_b, total - k) for k in range(count_a, most + 1))
    return ways / comb(n_a + n_b, total)
