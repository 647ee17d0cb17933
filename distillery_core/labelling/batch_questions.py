"""Which articles go into a provider batch, and the file of requests that carries them.

A question that has no attempt yet goes in, also one whose batch was refused or cancelled whole. One
that needs a repair, a longer answer or another try after a failure is left to the run that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

from distillery_core.files import atomic_write
from distillery_core.filters.filter import Filter
from distillery_core.labelling.parsing import check_for
from distillery_core.labelling.run import LabelSettings, question_of
from distillery_core.oracle.asking import Asker
from distillery_core.oracle.ledger import Past
from distillery_core.oracle.ledger_batches import Reservation
from distillery_core.oracle.ledger_job import Job
from distillery_core.oracle.prices import worst_case_nano
from distillery_core.oracle.provider_batch import BatchLimits, BatchOracle, request_line
from distillery_core.oracle.questions import Question
from distillery_core.oracle.spec import Price
from distillery_core.oracle.steps import Next, decide
from distillery_core.types import Article

_SAYS_NOTHING = ("not_run", "auth", "quota", "not_found", "down", "format")
"""Failures after which a question is as good as never asked."""


class BatchQuestions:
    """Finds the questions of a filter that a batch may hold.

    Args:
        spared: keys of questions not to be given a fresh start by `retry_failed`.
    """

    def __init__(
        self, filter: Filter, asker: Asker, job: Job, settings: LabelSettings, spared: set[str]
    ) -> None:
        self._filter, self._asker, self._job = filter, asker, job
        self._settings, self._spared = settings, spared
        self._check = partial(check_for, filter)

    def of(self, articles: Iterable[Article]) -> Iterator[Question]:
        """The questions about these articles that nobody has asked, in their order."""
        for article in articles:
            if self._filter.prefilter.check(article) is None:
                question = question_of(self._filter, article, self._settings.occasion)
                if self._is_open(question):
                    yield question

    def _is_open(self, question: Question) -> bool:
        ledger, settings = self._job.ledger, self._settings
        digest = self._asker.key_of(question).digest
        item = ledger.item(digest)
        if item is None:
            return True
        retried = item.state in ("rejected", "failed") and digest not in self._spared
        if settings.retry_failed and retried:
            self._job.forgive(digest)
            item = ledger.item(digest) or item
        if item.terminal:
            return False
        history = ledger.history(digest)[item.forgiven_to :]
        if not all(map(_as_if_not_asked, history)):
            return False
        turn = decide(history, self._check, settings.max_attempts, settings.max_overloads)
        return turn == Next("ask")


@dataclass(slots=True)
class BatchFile:
    """A written file of requests, what it reserves, and what did not go in."""

    reservations: list[Reservation] = field(default_factory=list)
    reserved_nano: int = 0
    budget_full: bool = False


@dataclass(frozen=True, slots=True)
class BatchFiles:
    """Writes questions into files of requests, as many as a batch may hold.

    Args:
        price: what a request in a batch costs; `budget_room` the nano-dollars that may still be
            reserved (None: as many as wished).
    """

    asker: Asker
    remote: BatchOracle
    price: Price
    limits: BatchLimits
    budget_room: Callable[[], int | None]

    def write(
        self, questions: Iterator[Question], path: Path
    ) -> tuple[BatchFile, Iterator[Question]]:
        """Fill one file; returns it and the questions that are left."""
        file, written, room = BatchFile(), 0, self.budget_room()
        seen: set[str] = set()
        with atomic_write(path, "wb") as handle:
            for question in questions:
                one, line = self._request(question)
                if one.key.digest in seen:
                    continue  # the same text twice: one answer serves both
                file.budget_full = (
                    room is not None and file.reserved_nano + one.reserved_nano > room
                )
                full = len(seen) >= self.limits.requests or written + len(line) > self.limits.bytes
                if file.budget_full or full:
                    return file, chain([question], questions)
                handle.write(line)
                written += len(line)
                seen.add(one.key.digest)
                file.reservations.append(one)
                file.reserved_nano += one.reserved_nano
        return file, iter(())

    def _request(self, question: Question) -> tuple[Reservation, bytes]:
        request = self.asker.first_request(question)
        key = self.asker.key_of(question)
        worst = worst_case_nano(self.price, request)
        one = Reservation(key, question.article_id, request.answer_format, worst)
        return one, request_line(key.digest, self.remote.body(request))


def _as_if_not_asked(past: Past) -> bool:
    """A call that was interrupted may be made again; one that lies in a batch may not."""
    if past.state == "failed":
        return past.failure_kind in _SAYS_NOTHING
    return past.state == "interrupted"
