"""Asking a model for a reading: the protocol, and the reader that asks through the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from distillery_core.files import sha256_text
from distillery_core.filters.answers import AnswerInvalid
from distillery_core.labelling.parsing import find_object
from distillery_core.oracle.asking import Asker
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_job import open_job
from distillery_core.oracle.opening import open_oracle
from distillery_core.oracle.questions import AnswerForm, AskSettings, Outcome
from distillery_core.oracle.questions import Question as LedgerQuestion
from distillery_core.oracle.spec import OracleSpec
from distillery_core.oracle.steps import AnswerRejected

PURPOSE = "reading"


@dataclass(frozen=True, slots=True)
class Question:
    """One thing a model is asked; `subject` is what it is about, e.g. an article's id."""

    subject: str
    system: str
    user: str


@dataclass(frozen=True)
class Inquiry:
    """Questions of one form.

    Attributes:
        check: raises ValueError with the reason for a parsed answer that cannot be used.
    """

    questions: Sequence[Question]
    schema: Mapping[str, Any]
    schema_name: str
    max_output_tokens: int
    temperature: float
    check: Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Why a question brought nothing usable."""

    reason: str


class Reader(Protocol):
    """A model that reads. `name` is printed beside everything it says."""

    @property
    def name(self) -> str: ...

    @property
    def cost_usd(self) -> float:
        """What everything asked through it took, answers from the ledger at what they had cost."""

    def ask(self, inquiry: Inquiry) -> list[Mapping[str, Any] | Unanswered]:
        """The checked answers in the questions' order, each usable or `Unanswered`."""


@dataclass(frozen=True)
class LedgerReader:
    """Reads with an oracle's client; each call is in the ledger, an answer is paid for once.

    Args:
        filter_label: whose money it is (`crisis:v1`).
        settings: retries, budget (of everything counted for the filter, labelling included).
        environ: where keys are looked up; None for the process's environment.
        recording_folder: for an oracle that replays the filter's recorded answers.
    """

    spec: OracleSpec
    ledger: Ledger
    filter_label: str
    settings: AskSettings = field(default_factory=AskSettings)
    environ: Mapping[str, str] | None = None
    recording_folder: Path | None = None
    _costs: list[float] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.model

    @property
    def cost_usd(self) -> float:
        """What everything asked through it took, answers from the ledger at what they had cost."""
        return sum(self._costs)

    def ask(self, inquiry: Inquiry) -> list[Mapping[str, Any] | Unanswered]:
        """Ask all, as many at a time as the oracle allows.

        Raises:
            UserError: no such provider, no key, no price, or another run is asking.
        """
        return asyncio.run(self._ask_all(inquiry))

    async def _ask_all(self, inquiry: Inquiry) -> list[Mapping[str, Any] | Unanswered]:
        spec, who = self.spec, self.filter_label
        opened = open_oracle(spec, self.environ, recording_folder=self.recording_folder)
        async with opened as oracle:
            with open_job(
                self.ledger, who, oracle=spec.name, purpose=PURPOSE, paid=spec.paid
            ) as job:
                asker = Asker(oracle, job, _form(inquiry), _check(inquiry), self.settings)
                asked = (asker.ask(_for_ledger(question)) for question in inquiry.questions)
                outcomes = await asyncio.gather(*asked)
                stopped = asker.stopped
                job.ended = stopped.message if stopped else "finished"
        self._costs.extend(outcome.cost_usd for outcome in outcomes)
        return [_answer(outcome) for outcome in outcomes]


def _form(inquiry: Inquiry) -> AnswerForm:
    return AnswerForm(
        schema=inquiry.schema,
        schema_name=inquiry.schema_name,
        answer_format="json_schema",
        max_output_tokens=inquiry.max_output_tokens,
        temperature=inquiry.temperature,
    )


def _check(inquiry: Inquiry) -> Callable[[str], dict[str, Any]]:
    def check(raw: str) -> dict[str, Any]:
        try:
            value = find_object(raw)
            inquiry.check(value)
        except (AnswerInvalid, ValueError) as error:
            raise AnswerRejected(str(error)) from None
        return value

    return check


def _for_ledger(question: Question) -> LedgerQuestion:
    return LedgerQuestion(
        article_id=question.subject,
        article_sha256=sha256_text(question.user),
        prompt_sha256=sha256_text(question.system),
        system=question.system,
        user=question.user,
    )


def _answer(outcome: Outcome) -> Mapping[str, Any] | Unanswered:
    return Unanswered(outcome.reason or outcome.state) if outcome.answer is None else outcome.answer
