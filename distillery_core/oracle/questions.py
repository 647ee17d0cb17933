"""What is asked: a run's settings, the form its questions share, a question, its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distillery_core.files import sha256_json
from distillery_core.oracle.client import AnswerFormat, Oracle
from distillery_core.oracle.ledger import ItemState


@dataclass(frozen=True, slots=True, kw_only=True)
class AskSettings:
    """How a run asks.

    Args:
        concurrency: calls in flight at most; None takes the oracle's.
        budget_usd: hard cap on what the ledger shows for the filter, over all runs and prompts
            (recorded oracles: on what the calls would have cost).
        max_attempts: failed calls per article over all runs before it is set aside.
        max_overloads: 429 replies per article before it is set aside.
        retry_failed: give articles that failed or were rejected earlier a fresh start.
        failure_window: stop when `failure_share` of so many last calls failed; None never stops.
        no_progress_calls: stop after so many failed calls without a usable answer (four times the
            concurrency if that is more); None never stops.
        no_progress_s: stop when calls have failed for so many seconds without a usable answer.
        accept_fingerprint: go on where the provider answers with another model than before.
        max_wait_s: a server that asks for a longer pause stops the run.
        backoff_s, backoff_cap_s: first and longest wait after a failure, seconds.
    """

    concurrency: int | None = None
    budget_usd: float | None = None
    max_attempts: int = 5
    max_overloads: int = 20
    retry_failed: bool = False
    failure_window: int | None = 50
    failure_share: float = 0.5
    no_progress_calls: int | None = 200
    no_progress_s: float = 600.0
    accept_fingerprint: bool = False
    max_wait_s: float = 300.0
    backoff_s: float = 0.5
    backoff_cap_s: float = 30.0


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What all questions of a run have in common."""

    schema: Mapping[str, Any] | None
    schema_name: str
    answer_format: AnswerFormat
    max_output_tokens: int
    temperature: float

    def parameters_sha256(self, oracle: Oracle) -> str:
        """Hash of everything but prompt, text and model that decides the answer."""
        spec = oracle.spec
        return sha256_json(
            {
                "identity": oracle.identity,
                "schema": self.schema,
                "answer_format": self.answer_format,
                "max_output_tokens": self.max_output_tokens,
                "temperature": self.temperature if spec.send_temperature else None,
                "extra_body": spec.extra_body,
            }
        )


@dataclass(frozen=True, slots=True)
class Question:
    """One question: `article_sha256` identifies the text it is about, `occasion` which asking of
    the same question this is ("" the first, "repeat 2")."""

    article_id: str
    article_sha256: str
    prompt_sha256: str
    system: str
    user: str
    occasion: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a question stands now. State "open": the run stopped before it was answered.

    `attempts` and `cost_usd` are over all runs (interrupted attempts apart).
    """

    state: ItemState
    answer: dict[str, Any] | None = None
    reason: str | None = None
    attempts: int = 0
    cost_usd: float = 0.0
    ended_at: str = ""
    from_ledger: bool = False
