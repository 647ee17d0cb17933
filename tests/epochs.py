"""Epochs of a training history, with nothing but what they are judged by."""

from __future__ import annotations

from collections.abc import Mapping

from distillery_core.student.record import EpochRecord


def epoch_of(number: int, val: Mapping[str, float | None], *, is_best: bool = False) -> EpochRecord:
    """An epoch with these validation metrics."""
    record = EpochRecord(number, 1.0, 0.1, 1.0, 10, 0.0, 10.0, None, 1)
    record.val, record.is_best = dict(val), is_best
    return record
