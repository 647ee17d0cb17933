"""Which report speaks for an oracle: the current one, or a kept one where another was judged since.

The reports beside the filter are of the oracle that was calibrated last. Where several oracles
label together, each one's report has to be found among the rounds that are kept.
"""

from __future__ import annotations

from pathlib import Path

from distillery_core.agents.rounds import KEPT_ROUNDS
from distillery_core.errors import DistilleryError
from distillery_core.verdicts.front_matter import ReportFront, read_report


def report_of_oracle(current: Path, round: str, oracle: str) -> Path:
    """The newest report of a round for an oracle; the current one where there is none.

    Passed over for a kept one is only a whole report of this round for another oracle. One that is
    missing, damaged or of another round stays the current one: the gate has to say so.

    Args:
        current: the report beside the filter.
        round: calibration or validation.
        oracle: its identity, as in the report's evidence.
    """
    front = _front(current)
    if front is None or front.round != round or front.evidence.get("oracle") == oracle:
        return current
    kept = sorted((current.parent / KEPT_ROUNDS).glob("round-*/report.md"), reverse=True)
    return next((path for path in kept if _speaks_for(path, round, oracle)), current)


def _speaks_for(path: Path, round: str, oracle: str) -> bool:
    """Whether a report is of that round and oracle; a damaged one speaks for nobody."""
    front = _front(path)
    return front is not None and front.round == round and front.evidence.get("oracle") == oracle


def _front(path: Path) -> ReportFront | None:
    """A report's front matter; None where it is missing or damaged."""
    try:
        return read_report(path).front
    except (DistilleryError, ValueError, RecursionError):
        return None
