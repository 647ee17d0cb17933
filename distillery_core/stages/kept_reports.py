"""Which report speaks for an oracle: the current one, or a kept one where another was judged since.

The reports beside the filter are of the oracle that was calibrated last. Where several oracles
label together, each one's report has to be found among the rounds that are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from distillery_core.agents.rounds import KEPT_ROUNDS
from distillery_core.errors import DistilleryError
from distillery_core.verdicts.front_matter import ReportFront, read_report


def report_of_oracle(
    current: Path, round: str, oracle: str, evidence: Mapping[str, str | None]
) -> Path:
    """The newest report of a round for an oracle; the current one where there is none.

    Where the prompt was changed and changed back, those of today's prompt come first.

    Passed over for a kept one is only a whole report of this round for another oracle. One that is
    missing, damaged or of another round stays the current one: the gate has to say so.

    Args:
        current: the report beside the filter.
        round: calibration or validation.
        oracle: its identity, as in the report's evidence.
        evidence: what the report would have to be made from today.
    """
    front = _front(current)
    if front is None or front.round != round or front.evidence.get("oracle") == oracle:
        return current
    kept = (current.parent / KEPT_ROUNDS).glob("round-*/report.md")
    # A damaged one speaks for nobody.
    fronts = [(path, front) for path in sorted(kept, key=_number) if (front := _front(path))]
    of_oracle = [
        (path, front)
        for path, front in fronts
        if front.round == round and front.evidence.get("oracle") == oracle
    ]
    today = evidence.get("prompt_sha256")
    of_prompt = [one for one in of_oracle if one[1].evidence.get("prompt_sha256") == today]
    return (of_prompt or of_oracle or [(current, front)])[-1][0]


def _number(report: Path) -> tuple[int, str]:
    """`round-100` comes after `round-99`."""
    name = report.parent.name
    return len(name), name


def _front(path: Path) -> ReportFront | None:
    """A report's front matter; None where it is missing or damaged."""
    try:
        return read_report(path).front
    except (DistilleryError, ValueError, RecursionError):
        return None
