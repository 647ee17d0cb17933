"""What to do next about a question, decided from its attempts alone.

Because nothing but the ledger is looked at, a run that was killed goes on exactly where it stood:
an answer that needs a repair is repaired, not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from distillery_core.oracle.ledger import Ending, Past, StepName

Check = Callable[[str], dict[str, Any]]
"""Turns a raw answer into the checked one, or raises AnswerRejected."""

_FATAL_FOR_ROW = {"bad_request", "refused"}
_NOT_COUNTED = {"auth", "quota", "not_found", "down", "format", "not_run", "expired"}
"""Failures of the set-up, which say nothing about the question."""

_REPAIR = (
    "That answer cannot be used: {reason}.\n"
    "Answer again with exactly one JSON object as described above and nothing else."
)


class AnswerRejected(ValueError):
    """An answer that does not pass the check; the message says why."""


@dataclass(frozen=True, slots=True)
class Next:
    """The next attempt to make. `longer` raises the output budget."""

    step: StepName
    longer: bool = False
    follow_up: tuple[str, str] | None = None


def decide(
    history: Sequence[Past], check: Check, max_attempts: int, max_overloads: int
) -> Next | Ending:
    """The next attempt, or how the question ends.

    An answer that was cut off is asked for once more with a larger output budget, one that fails
    the check gets one repair. Failures are retried up to `max_attempts`, overload (which costs
    nothing) up to `max_overloads`; interrupted attempts are not the question's fault.
    """
    answered = [past for past in history if past.state == "answered"]
    longer = any(past.step == "longer" for past in answered)
    wanted: Next | Ending = Next("ask")
    if answered:
        wanted = _after_answer(answered, check, longer)
    if isinstance(wanted, Ending):
        return wanted
    return _after_failures(history, max_attempts, max_overloads) or wanted


def _after_answer(answered: Sequence[Past], check: Check, longer: bool) -> Next | Ending:
    last = answered[-1]
    raw = last.raw_answer or ""
    try:
        return Ending("done", answer=check(raw))
    except AnswerRejected as error:
        reason = str(error)
    if last.finish_reason == "content_filter":
        return Ending("rejected", reason="the provider's content filter cut the answer")
    if last.finish_reason == "length":
        if not longer:
            return Next("longer", longer=True)
        return Ending("rejected", reason=f"cut off even with a larger output budget; {reason}")
    if any(past.step == "repair" for past in answered):
        return Ending("rejected", reason=f"{reason} (also after a repair)")
    return Next("repair", longer, follow_up=(raw, _REPAIR.format(reason=reason)))


def _after_failures(
    history: Sequence[Past], max_attempts: int, max_overloads: int
) -> Ending | None:
    failed = [p for p in history if p.state == "failed" and p.failure_kind not in _NOT_COUNTED]
    if not failed:
        return None
    last = failed[-1]
    overloads = sum(past.failure_kind == "overload" for past in failed)
    others = len(failed) - overloads
    if last.failure_kind in _FATAL_FOR_ROW:
        return Ending("failed", reason=f"{last.failure_kind}: {last.failure_message}")
    if others >= max_attempts or overloads >= max_overloads:
        return Ending("failed", reason=f"{len(failed)} failures: {last.failure_message}")
    return None
