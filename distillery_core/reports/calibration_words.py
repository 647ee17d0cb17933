"""Which scores an error is of, and what score calibration did, in words.

A calibrated model has two errors on the same articles: of its own scores, which the training run
and every comparison between splits have, and of the scores as deployed, which are judged.
"""

from __future__ import annotations

from typing import TypeGuard

from distillery_core.reports.formatting import fixed, integer, percent, signed
from distillery_core.reports.record import Record
from distillery_core.reports.views import Calibration, Coverage, calibration_of

DEPLOYED = "as deployed, calibrated"
OWN = "before calibration"


def is_calibrated(record: Record | None) -> TypeGuard[Record]:
    """Whether maps are applied, so that the two errors differ and each has to be named."""
    found = calibration_of(record) if record else None
    return found is not None and found.kept


def deployed(record: Record | None, form: str = " {}") -> str:
    """` as deployed, calibrated` to put behind an error; nothing where there is only one error."""
    return form.format(DEPLOYED) if is_calibrated(record) else ""


def own(record: Record | None) -> str:
    """` before calibration` to put behind an error; nothing where there is only one error."""
    return f" {OWN}" if is_calibrated(record) else ""


def calibration_text(record: Record) -> str:
    """Kept or not and why, what it does on validation and test, what its intervals hold on test.

    Empty where the record does not speak of calibration.
    """
    found = calibration_of(record)
    if found is None:
        return ""
    return " ".join([_applied(found) if found.kept else _not_applied(found), _intervals(found)])


def _applied(found: Calibration) -> str:
    fitted = f" fitted on {integer(found.rows)} validation articles" if found.rows else ""
    change = signed(found.after - found.before, 3)
    if found.low is not None and found.high is not None:
        change += f" (95 % interval {signed(found.low, 3)} to {signed(found.high, 3)})"
    return (
        f"Calibration is applied: a monotone map for each dimension{fitted} turns the model's own "
        f"scores into those that are deployed. Why it was kept: "
        f"{found.reason}. On {integer(found.articles)} test articles the MAE is "
        f"{fixed(found.before, 3)} {OWN} and {fixed(found.after, 3)} {DEPLOYED}: {change}."
    )


def _not_applied(found: Calibration) -> str:
    return (
        f"Calibration is not applied: {found.reason}. The model's own scores are deployed; their "
        f"MAE on {integer(found.articles)} test articles is {fixed(found.after, 3)}."
    )


def _intervals(found: Calibration) -> str:
    if found.promised is None or not found.coverage:
        return "There are no intervals around scores: too few validation articles for them."
    promised = percent(found.promised)
    held = ", ".join(map(_held, found.coverage))
    short = [one.dimension for one in found.coverage if one.high < found.promised]
    judged = (
        f"Beyond chance that is too few for {', '.join(short)}."
        if short
        else "In no dimension is that too few beyond chance."
    )
    return f"An interval is to hold {promised} of the labels; on test it holds {held}. {judged}"


def _held(one: Coverage) -> str:
    """`heat 84 % (79 % to 88 %)`."""
    return f"{one.dimension} {percent(one.share)} ({percent(one.low)} to {percent(one.high)})"
