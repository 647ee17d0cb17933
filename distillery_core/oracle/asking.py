"""Asks an oracle one question to its end: ledger first, budget before each call, retries, repair.

Used for labels and for everything else an oracle is asked; what a good answer is comes in as a
function. The order of things is what keeps money safe: look into the ledger, reserve the worst
case, call, write down, and only then go on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial

from distillery_core.oracle.client import (
    AnswerFormat,
    Oracle,
    OracleFailure,
    OracleReply,
    OracleRequest,
)
from distillery_core.oracle.fingerprints import FingerprintWatch
from distillery_core.oracle.flow import AdaptiveLimit, Stop, delay_s
from distillery_core.oracle.group_commit import GroupCommit
from distillery_core.oracle.ladder import FormatLadder
from distillery_core.oracle.ledger import Ending, Item, ItemKey, Past
from distillery_core.oracle.ledger_batches import waits_in_batch
from distillery_core.oracle.ledger_job import Job
from distillery_core.oracle.prices import WorstCase, cost_nano, price_of
from distillery_core.oracle.questions import AnswerForm, AskSettings, Outcome, Question
from distillery_core.oracle.rate_limits import Need, RateLimits
from distillery_core.oracle.reserving import Purse
from distillery_core.oracle.steps import Check, Next, decide
from distillery_core.oracle.stopping import StopRules, budget_stop

_LONGER_FACTOR = 2


@dataclass(slots=True)
class _Pending:
    """A question on its way: what was tried, what comes next, how long to wait before it.

    `wait_s` None: at once, in the same slot.
    """

    question: Question
    key: ItemKey
    history: list[Past]
    turn: Next | Ending
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    """One call that is made: its number in the ledger and what was asked."""

    attempt: int
    step: Next
    request: OracleRequest
    need: Need
    generation: int


class Asker:
    """Asks many questions at once, each to its end; `cost_nano` is what that took so far.

    Once `stopped` is set no call is made any more; calls in flight end normally, since they are
    paid for, and every question not yet answered comes back as "open".

    Raises:
        UserError: the oracle's price is not known.
    """

    def __init__(
        self, oracle: Oracle, job: Job, form: AnswerForm, check: Check, settings: AskSettings
    ) -> None:
        self.stopped: Stop | None = None
        self.cost_nano = 0
        self.parameters_sha256 = form.parameters_sha256(oracle)
        spec, concurrency = oracle.spec, settings.concurrency or oracle.spec.concurrency
        self._oracle, self._job, self._form = oracle, job, form
        self._check, self._settings = check, settings
        self._price = price_of(spec)
        self._worst_case = WorstCase(self._price, form.schema)
        self._commits = GroupCommit(job.ledger)
        self._purse = Purse(job, self._commits, settings.budget_usd)
        self._limit = AdaptiveLimit(concurrency)
        self._rates = RateLimits(spec.limits)
        self._rules = StopRules(spec, settings, concurrency)
        self._ladder = FormatLadder(form.answer_format)
        self._fingerprints: dict[str, FingerprintWatch] = {}
        self._twins: dict[str, asyncio.Future[Outcome]] = {}

    def key_of(self, question: Question) -> ItemKey:
        """The question's key in the ledger."""
        model = self._oracle.spec.model
        return ItemKey(
            *(question.article_sha256, question.prompt_sha256, model),
            *(self.parameters_sha256, question.occasion),
        )

    @property
    def answer_format(self) -> AnswerFormat:
        """The format asked for now; after the first answer it is one that the server takes."""
        return self._ladder.current

    def first_request(self, question: Question) -> OracleRequest:
        """What is sent when a question is asked for the first time."""
        return self._request(question, Next("ask"), self._ladder.current)

    async def ask(self, question: Question) -> Outcome:
        """Ask one question, or take its answer from the ledger or from its twin in flight."""
        key = self.key_of(question)
        twin = self._twins.get(key.digest)
        if twin is not None:
            outcome = await asyncio.shield(twin)
            return replace(outcome, from_ledger=outcome.state != "open")
        future = asyncio.get_running_loop().create_future()
        self._twins[key.digest] = future
        try:
            outcome = await self._to_the_end(question, key)
            future.set_result(outcome)
        except BaseException:
            future.cancel()
            raise
        finally:
            del self._twins[key.digest]
        return outcome

    async def _to_the_end(self, question: Question, key: ItemKey) -> Outcome:
        ledger, digest = self._job.ledger, key.digest
        item = ledger.item(digest)
        if item is not None and self._settings.retry_failed and item.state in _RETRIED:
            self._job.forgive(digest)
            item = ledger.item(digest)
        if item is not None and item.terminal:
            return _outcome(item, from_ledger=True)
        history = ledger.history(digest)[item.forgiven_to :] if item else []
        if any(past.state == "in_flight" for past in history) and waits_in_batch(ledger, digest):
            self._stop(_IN_BATCH)
            return Outcome("open", reason=_IN_BATCH.message)
        pending = _Pending(question, key, history, self._decide(history))
        if isinstance(pending.turn, Ending):
            self._job.end(digest, pending.turn)
        while isinstance(pending.turn, Next):
            if not await self._in_a_slot(pending):
                return Outcome("open", reason=self.stopped.message if self.stopped else None)
            if pending.wait_s:
                await asyncio.sleep(pending.wait_s)
        ended = ledger.item(digest)
        return _outcome(ended, from_ledger=False) if ended else Outcome("open")

    def _decide(self, history: list[Past]) -> Next | Ending:
        settings = self._settings
        return decide(history, self._check, settings.max_attempts, settings.max_overloads)

    async def _in_a_slot(self, pending: _Pending) -> bool:
        """Attempts until the question is answered or has to wait; False once the run stopped.

        A repair keeps its slot: were it to queue behind new questions, an oracle that answers
        nothing usable would be seen only after many more were paid for.
        """
        async with self._limit as generation:
            while isinstance(pending.turn, Next):
                if not await self._attempt(pending, pending.turn, generation):
                    return False
                if pending.wait_s is None:
                    continue
                if self._limit.open or not pending.wait_s:
                    break
                # The first question goes alone, to its end, before others are risked.
                await asyncio.sleep(pending.wait_s)
        return True

    async def _attempt(self, pending: _Pending, step: Next, generation: int) -> bool:
        """One call, and what follows from it; False when the run has stopped."""
        call = await self._begin(pending, step, generation)
        if call is None:
            return False
        pending.wait_s = None
        try:
            reply = await self._oracle.complete(call.request)
        except OracleFailure as failure:
            await self._note_failure(call, failure, pending)
        except asyncio.CancelledError:
            self._job.interrupt(call.attempt)
            raise
        else:
            await self._note_reply(call, reply, pending)
        return True

    async def _begin(self, pending: _Pending, step: Next, generation: int) -> _Call | None:
        """Wait for the provider's limits and the budget, then write the attempt down."""
        request = self._request(pending.question, step, self._ladder.current)
        need = self._rates.need(request)
        if self.stopped is not None or not await self._rates.take(need, self._gives_up):
            return None
        attempt = await self._purse.reserve(
            *(pending.key, pending.question.article_id, step.step, request.answer_format),
            *(self._worst_case.nano(request), self._is_stopped),
        )
        if attempt is None:
            if self._purse.exceeded is not None:
                budget = self._settings.budget_usd or 0.0
                self._stop(budget_stop(self._purse.exceeded, budget, self._job.filter))
            self._rates.settle(need, None)
            return None
        return _Call(attempt, step, request, need, generation)

    def _is_stopped(self) -> bool:
        return self.stopped is not None

    def _gives_up(self, wait_s: float) -> bool:
        self._stop(self._rules.too_long(wait_s, "its limit per minute or day is used up"))
        return self.stopped is not None

    async def _note_reply(self, call: _Call, reply: OracleReply, pending: _Pending) -> None:
        cost = None if reply.usage is None else cost_nano(self._price, reply.usage)
        self.cost_nano += cost or 0
        past = Past("answered", call.step.step, reply.text, reply.finish_reason)
        pending.history.append(past)
        pending.turn = self._decide(pending.history)
        ending = pending.turn if isinstance(pending.turn, Ending) else None
        self._rates.settle(call.need, reply.usage)
        self._rates.observe(reply.limits)
        self._limit.succeeded(reply.latency_s)
        self._ladder.held(call.request.answer_format)
        if ending is not None and ending.state == "done":
            self._rules.good()
        elif ending is not None:
            self._stop(self._rules.unusable(ending.reason or ""))
        await self._purse.settle(partial(self._write_reply, call, reply, cost, ending, pending))

    def _write_reply(
        self,
        call: _Call,
        reply: OracleReply,
        cost: int | None,
        ending: Ending | None,
        pending: _Pending,
    ) -> None:
        self._job.answered(call.attempt, reply, cost, ending)
        self._stop(self._fingerprint_watch(pending.question.prompt_sha256).saw(reply))

    def _fingerprint_watch(self, prompt_sha256: str) -> FingerprintWatch:
        watch = self._fingerprints.get(prompt_sha256)
        if watch is None:
            spec = self._oracle.spec
            watch = self._fingerprints[prompt_sha256] = FingerprintWatch(
                *(self._job.ledger, prompt_sha256, spec.model, self.parameters_sha256),
                spec.fingerprint,
                accept=self._settings.accept_fingerprint,
            )
        return watch

    async def _note_failure(self, call: _Call, failure: OracleFailure, pending: _Pending) -> None:
        self._rates.settle(call.need, None)
        self._rates.observe(failure.limits, refused=failure.kind == "overload")
        if self._ladder.refused(call.request.answer_format, failure):
            # The format's fault, not the question's: asked again at once, one rung lower, before
            # another question can hold a rung that this one only tried.
            refusal = OracleFailure("format", failure.message, status=failure.status)
            await self._purse.settle(partial(self._job.failed, call.attempt, refusal, None))
            return
        kind, message = failure.kind, failure.message
        past = Past("failed", call.step.step, failure_kind=kind, failure_message=message)
        pending.history.append(past)
        following = self._decide(pending.history)
        ending = following if isinstance(following, Ending) else None
        stop = self._rules.failed(failure, ends_row=ending is not None)
        self._stop(stop)
        if kind == "overload":
            self._limit.overloaded(call.generation)
        # What stops a run says nothing about the question, which stays open.
        kept = None if stop else ending
        pending.turn = call.step if stop else following
        pending.wait_s = 0.0 if stop else self._wait_s(failure, pending.history)
        await self._purse.settle(partial(self._job.failed, call.attempt, failure, kept))

    def _stop(self, stop: Stop | None) -> None:
        self.stopped = self.stopped or stop

    def _wait_s(self, failure: OracleFailure, history: list[Past]) -> float:
        in_a_row = 0
        for past in reversed(history):
            if past.state != "failed":
                break
            in_a_row += 1
        base, cap = self._settings.backoff_s, self._settings.backoff_cap_s
        return delay_s(max(in_a_row, 1), base, cap, failure.retry_after_s)

    def _request(
        self, question: Question, turn: Next, answer_format: AnswerFormat
    ) -> OracleRequest:
        form = self._form
        factor = _LONGER_FACTOR if turn.longer else 1
        return OracleRequest(
            system=question.system,
            user=question.user,
            schema=form.schema,
            schema_name=form.schema_name,
            answer_format=answer_format,
            max_output_tokens=form.max_output_tokens * factor,
            temperature=form.temperature,
            follow_up=turn.follow_up,
        )


_RETRIED = ("rejected", "failed")
_IN_BATCH = Stop(
    "wait",
    "articles of this run wait in a provider batch, where they are paid for",
    "distillery label --provider-batch goes on with it, --cancel-batches ends it",
)


def _outcome(item: Item, *, from_ledger: bool) -> Outcome:
    return Outcome(
        state=item.state,
        answer=item.answer,
        reason=item.reason,
        attempts=item.attempts,
        cost_usd=item.cost_usd,
        ended_at=item.updated_at,
        from_ledger=from_ledger,
    )
