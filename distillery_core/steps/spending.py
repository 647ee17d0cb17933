"""Writes what a step spent on the oracle beside the step, where the dashboard shows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from distillery_core.steps.work import Work


@contextmanager
def spending(work: Work) -> Iterator[None]:
    """Record the money of the block in USD, also when it ends with an error."""
    before = _money(work)
    try:
        yield
    finally:
        from zenml import log_metadata

        after = _money(work)
        log_metadata({name: round(after[name] - before[name], 6) for name in after})


def _money(work: Work) -> dict[str, float]:
    from distillery_core.oracle.ledger import Ledger
    from distillery_core.oracle.ledger_report import Money, money

    if not work.project.ledger.is_file():
        return asdict(Money())
    with Ledger.open(work.project.ledger) as ledger:
        return asdict(money(ledger, work.filter.label))
