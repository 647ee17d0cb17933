"""Labels articles by provider batches: submit, wait, collect; what is left is asked afterwards.

A run that was killed at any point is taken up by the next one from the ledger. Nothing is written
into label files here: when the batches have ended, `label_file` finds their answers in the ledger
and asks synchronously about the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.labelling.batch_questions import BatchFiles, BatchQuestions
from distillery_core.labelling.batch_watch import BatchWatch
from distillery_core.labelling.parsing import check_for
from distillery_core.labelling.run import LabelSettings, answer_form
from distillery_core.oracle.asking import Asker
from distillery_core.oracle.client import Oracle, OracleFailure, OracleReply
from distillery_core.oracle.fingerprints import FingerprintWatch
from distillery_core.oracle.flow import Stop
from distillery_core.oracle.ledger_batches import batches_under_way, counted_nano, write_batch
from distillery_core.oracle.ledger_job import Job
from distillery_core.oracle.prices import (
    batch_price_of,
    price_of,
    to_dollars,
    to_nano,
    worst_case_nano,
)
from distillery_core.oracle.provider_batch import BatchLimits, BatchOracle, batch_oracle
from distillery_core.oracle.provider_batch_collect import Collector
from distillery_core.oracle.provider_batch_send import Patience, Sender
from distillery_core.oracle.questions import Question
from distillery_core.types import Article, Progress, silent

_AGAIN = "run the same command again to go on from there; nothing is paid for twice"

Articles = Callable[[], Iterable[Article]]
"""Makes the stream of articles anew: each round goes through it once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """How batches are made and waited for; `wait=False` only submits, and collects what is done."""

    wait: bool = True
    limits: BatchLimits = field(default_factory=BatchLimits)
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """What a run of batches brought.

    `submitted` requests went out in this run; `counts` is of those collected in it: answered, done
    (passed the check), failed, expired and not_run (never had their turn), lost. `under_way` names
    the batches that are still waited for.
    """

    filter: str
    oracle: str
    submitted: int
    batches: int
    counts: dict[str, int]
    unreadable: int
    cost_usd: float
    paid: bool
    under_way: tuple[str, ...]
    seconds: float


class ProviderBatchRun:
    """One run over one corpus, inside its job.

    Args:
        folder: where files of requests and results lie while they are needed; this filter's own.
        say: told a line whenever something happened to a batch.

    Raises:
        UserError: the oracle takes no batches, or what they cost is not known.
    """

    def __init__(
        self,
        filter: Filter,
        oracle: Oracle,
        job: Job,
        folder: Path,
        *,
        settings: LabelSettings,
        batch: BatchSettings,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._filter, self._oracle, self._job, self._folder = filter, oracle, job, folder
        self._settings, self._batch = settings, batch
        self._started = time.monotonic()
        self._submitted = self._batches = 0
        self._stop: Stop | None = None
        self._budget_full = False
        remote = batch_oracle(oracle)
        self._asker = Asker(oracle, job, answer_form(filter), partial(check_for, filter), settings)
        self._collector = self._collects(remote)
        self._sender = Sender(remote, job.ledger, folder, batch.patience)
        self._watch = BatchWatch(oracle, job, self._sender, self._collector, batch.patience, say)
        given_up = self._collector.collected.given_up
        self._questions = BatchQuestions(filter, self._asker, job, settings, given_up)
        price = batch_price_of(oracle.spec)
        self._files = BatchFiles(self._asker, remote, price, batch.limits, self._budget_room)

    def _collects(self, remote: BatchOracle) -> Collector:
        spec, settings = self._oracle.spec, self._settings
        fingerprints = FingerprintWatch(
            *(self._job.ledger, self._filter.prompt_sha256, spec.model),
            *(self._asker.parameters_sha256, spec.fingerprint),
            accept=settings.accept_fingerprint,
        )

        def note(reply: OracleReply) -> None:
            self._stop = self._stop or fingerprints.saw(reply)

        return Collector(
            *(remote, self._job, batch_price_of(spec), partial(check_for, self._filter)),
            folder=self._folder,
            patience=self._batch.patience,
            max_attempts=settings.max_attempts,
            max_overloads=settings.max_overloads,
            on_reply=note,
        )

    async def run(self, articles: Articles, progress: Progress = silent) -> BatchSummary:
        """Submit what is open, and unless told otherwise wait for it and collect it.

        More than one round is needed only where budget or the provider's queue held some back.

        Raises:
            UserError: the provider cannot be reached or used.
            CheckFailed: a batch was refused or cancelled, or another stop rule ended the run; what
                was answered is in the ledger.
        """
        self._clear_folder()
        try:
            await self._watch.take_up()
            while await self._round(articles, progress):
                pass
        except OracleFailure as failure:
            raise self._unreachable(failure) from None
        return self._finish()

    async def cancel(self) -> BatchSummary:
        """End every batch under way, and collect what was answered until then.

        Raises:
            UserError: the provider cannot be reached or used.
        """
        try:
            await self._watch.cancel()
        except OracleFailure as failure:
            raise self._unreachable(failure) from None
        return self._finish()

    def _unreachable(self, failure: OracleFailure) -> UserError:
        return UserError(f"oracle {self._oracle.spec.name!r}: {failure.message}", hint=_AGAIN)

    @property
    def _stopped(self) -> Stop | None:
        return self._stop or self._watch.stop

    async def _round(self, articles: Articles, progress: Progress) -> bool:
        """Submit and wait; returns whether another round can bring more."""
        if self._stopped is not None:
            return False
        self._watch.queue_full = self._budget_full = False
        sent = await self._submit(articles)
        if not self._batch.wait or self._stopped is not None:
            return False
        before = self._settled()
        await self._watch.wait(progress)
        gained = self._settled() > before
        if self._watch.queue_full and not gained:
            self._stop = self._stop or _queue_stop(self._oracle.spec.name)
        held_back = self._watch.queue_full or self._budget_full
        return held_back and (gained or sent > 0)

    def _settled(self) -> int:
        counts = self._collector.collected.counts
        return counts["answered"] + counts["failed"]

    def _clear_folder(self) -> None:
        """Remove files of requests whose batch never reached the ledger."""
        known = {batch.key for batch in self._watch.under_way()}
        for path in self._folder.glob("*"):
            if path.name.lstrip(".").partition(".")[0] not in known:
                path.unlink(missing_ok=True)

    async def _submit(self, articles: Articles) -> int:
        """Write and send every open question; returns how many requests went out."""
        questions = self._questions.of(articles())
        first = next(questions, None)
        if first is None or not await self._first_alone(first):
            return 0
        before = self._submitted
        left: Iterator[Question] | None = questions
        while left is not None and not self._budget_full and self._stopped is None:
            left = await self._submit_one(left)
        return self._submitted - before

    async def _first_alone(self, question: Question) -> bool:
        """Ask one question synchronously: a wrong key, model, prompt or answer format shows here
        and not in fifty thousand lines tomorrow."""
        room = self._budget_room()
        worst = worst_case_nano(price_of(self._oracle.spec), self._asker.first_request(question))
        if room is not None and worst > room and self._watch.under_way():
            self._budget_full = True  # most of what the batches under way reserve comes back
            return False
        await self._asker.ask(question)
        self._stop = self._stop or self._asker.stopped
        return self._stop is None

    async def _submit_one(self, questions: Iterator[Question]) -> Iterator[Question] | None:
        key = uuid4().hex
        path = self._sender.input_path(key)
        file, left = self._files.write(questions, path)
        self._budget_full = file.budget_full
        if not file.reservations:
            path.unlink(missing_ok=True)
            return None
        budget = self._settings.budget_usd
        limit = None if budget is None else to_nano(budget)
        write_batch(self._job, key, self._oracle.identity, file.reservations, limit)
        batch = next(batch for batch in self._watch.under_way() if batch.key == key)
        await self._watch.send(batch, resumed=False)
        self._submitted += len(file.reservations)
        self._batches += 1
        return left

    def _budget_room(self) -> int | None:
        budget = self._settings.budget_usd
        return None if budget is None else max(to_nano(budget) - counted_nano(self._job), 0)

    def _finish(self) -> BatchSummary:
        stop = self._stopped
        self._job.ended = stop.message if stop else "finished"
        if stop is not None:
            raise stop.error()
        return self._summary()

    def _summary(self) -> BatchSummary:
        collected = self._collector.collected
        under_way = batches_under_way(self._job.ledger, self._job.filter)
        return BatchSummary(
            filter=self._filter.label,
            oracle=self._oracle.spec.name,
            submitted=self._submitted,
            batches=self._batches,
            counts={name: count for name, count in collected.counts.items() if count},
            unreadable=collected.unreadable,
            cost_usd=to_dollars(collected.cost_nano + self._asker.cost_nano),
            paid=self._oracle.spec.paid,
            under_way=tuple(batch.batch_id or "not sent yet" for batch in under_way),
            seconds=time.monotonic() - self._started,
        )


def _queue_stop(oracle: str) -> Stop:
    what = f"oracle {oracle!r} has no room for another batch: too much is waiting in its queue"
    return Stop("wait", what, "run the same command again later; nothing was charged")
