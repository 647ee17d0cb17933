"""Asks an oracle one question to its end: ledger first, budget before each call, retries, repair.

Used for labels and for everything else an oracle is asked; what a good answer is comes in as a
function. The order of things is what keeps money safe: look into the ledger, reserve the worst
case, call, write down, and only then go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from distillery_core.files import sha256_json
from distillery_core.oracle.client import (
    AnswerFormat,
    Oracle,
    OracleFailure,
    OracleReply,
    OracleRequest,
)
from distillery_core.oracle.flow import AdaptiveLimit, FailureWatch, Stop, delay_s
from distillery_core.oracle.ladder import FormatLadder
from distillery_core.oracle.ledger import BudgetExceeded, Ending, Item, ItemKey, ItemState, Past
from distillery_core.oracle.ledger_job import Job
from distillery_core.oracle.prices import cost_nano, price_of, to_dollars, to_nano, worst_case_nano
from distillery_core.oracle.steps import Check, Next, decide

_LONGER_FACTOR = 2


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
    """One question: `article_sha256` identifies the text it is about."""

    article_id: str
    article_sha256: str
    prompt_sha256: str
    system: str
    user: str


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
        self._oracle, self._job, self._form = oracle, job, form
        self._check, self._settings = check, settings
        self._price = price_of(oracle.spec)
        budget = settings.budget_usd
        self._budget_nano = None if budget is None else to_nano(budget)
        self._limit = AdaptiveLimit(settings.concurrency or oracle.spec.concurrency)
        self._watch = FailureWatch(settings.failure_window, settings.failure_share)
        self._ladder = FormatLadder(form.answer_format)
        self._twins: dict[str, asyncio.Future[Outcome]] = {}
        self._settled = asyncio.Event()

    def key_of(self, question: Question) -> ItemKey:
        """The question's key in the ledger."""
        model = self._oracle.spec.model
        return ItemKey(
            question.article_sha256, question.prompt_sha256, model, self.parameters_sha256
        )

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
        turn = self._decide(history)
        if isinstance(turn, Ending):
            self._job.end(digest, turn)
        while isinstance(turn, Next):
            async with self._limit as generation:
                wait_s = None
                while wait_s is None and isinstance(turn, Next):
                    if self.stopped is not None:
                        return Outcome("open", reason=self.stopped.message)
                    turn, wait_s = await self._attempt(question, key, turn, history, generation)
                    if wait_s and not self._limit.open:
                        # The first question goes alone, to its end, before others are risked.
                        await asyncio.sleep(wait_s)
                        wait_s = None
            if wait_s:
                await asyncio.sleep(wait_s)
        ended = ledger.item(digest)
        return _outcome(ended, from_ledger=False) if ended else Outcome("open")

    def _decide(self, history: list[Past]) -> Next | Ending:
        settings = self._settings
        return decide(history, self._check, settings.max_attempts, settings.max_overloads)

    async def _attempt(
        self, question: Question, key: ItemKey, turn: Next, history: list[Past], generation: int
    ) -> tuple[Next | Ending, float | None]:
        """One call; returns what to do next and the wait before it (None: at once, same slot)."""
        answer_format = self._ladder.current
        request = self._request(question, turn, answer_format)
        attempt = await self._reserve(question, key, turn, request)
        if attempt is None:
            return turn, 0.0
        try:
            reply = await self._oracle.complete(request)
        except OracleFailure as failure:
            return self._note_failure(attempt, failure, turn, history, request, generation)
        except asyncio.CancelledError:
            self._job.interrupt(attempt)
            raise
        finally:
            self._tell_waiting()
        # A repair keeps its slot: were it to queue behind new questions, an oracle that answers
        # nothing usable would be seen only after many more were paid for.
        return self._note_reply(attempt, reply, turn, history, answer_format), None

    async def _reserve(
        self, question: Question, key: ItemKey, turn: Next, request: OracleRequest
    ) -> int | None:
        """Write the attempt down with its worst case; None when the run has to stop instead."""
        worst = worst_case_nano(self._price, request)
        while self.stopped is None:
            try:
                return self._job.begin(
                    *(key, question.article_id, turn.step, request.answer_format),
                    *(worst, self._budget_nano),
                )
            except BudgetExceeded as exceeded:
                if not exceeded.in_flight:
                    self.stopped = self._budget_stop(exceeded)
                    return None
            # Calls in flight are reserved at their worst case; most of it comes back.
            await self._settled.wait()
        return None

    def _note_reply(
        self,
        attempt: int,
        reply: OracleReply,
        turn: Next,
        history: list[Past],
        answer_format: AnswerFormat,
    ) -> Next | Ending:
        cost = None if reply.usage is None else cost_nano(self._price, reply.usage)
        self.cost_nano += cost or 0
        history.append(Past("answered", turn.step, reply.text, reply.finish_reason))
        following = self._decide(history)
        ending = following if isinstance(following, Ending) else None
        self._job.answered(attempt, reply, cost, ending)
        self._limit.succeeded()
        self._ladder.held(answer_format)
        if ending is not None and ending.state == "done":
            self._watch.good()
        elif ending is not None:
            self._stop(self._watch.unusable(ending.reason or ""))
        return following

    def _note_failure(
        self,
        attempt: int,
        failure: OracleFailure,
        turn: Next,
        history: list[Past],
        request: OracleRequest,
        generation: int,
    ) -> tuple[Next | Ending, float | None]:
        if self._ladder.refused(request.answer_format, failure):
            # The format's fault, not the question's: asked again at once, one rung lower, before
            # another question can hold a rung that this one only tried.
            message, status = failure.message, failure.status
            self._job.failed(attempt, OracleFailure("format", message, status=status), None)
            return turn, None
        history.append(
            Past("failed", turn.step, failure_kind=failure.kind, failure_message=failure.message)
        )
        following = self._decide(history)
        ending = following if isinstance(following, Ending) else None
        stop = self._stop_for(failure, ending)
        self._job.failed(attempt, failure, None if stop else ending)
        self._stop(stop)
        if failure.kind == "overload":
            self._limit.overloaded(generation)
        return (turn if stop else following), 0.0 if stop else self._wait_s(failure, history)

    def _stop_for(self, failure: OracleFailure, ending: Ending | None) -> Stop | None:
        """Failures that concern the whole run; the question they hit stays open."""
        name, kind = self._oracle.spec.name, failure.kind
        if kind in ("auth", "quota", "not_found"):
            message = f"oracle {name!r}: {failure.message}"
            if failure.status:
                message += f" (HTTP {failure.status})"
            return Stop(kind, message, _HINTS[kind].format(variable=self._variable()))
        if (failure.retry_after_s or 0) > self._settings.max_wait_s:
            what = f"oracle {name!r} asks to wait {failure.retry_after_s:.0f} s; {failure.message}"
            return Stop("wait", what, "run the same command again later; nothing is lost")
        row = ending is not None and kind not in ("bad_request", "refused")
        return self._watch.failed(kind, failure.message, ends_row=row)

    def _variable(self) -> str:
        return self._oracle.spec.api_key_env or "api_key_env (oracles.yaml names none)"

    def _stop(self, stop: Stop | None) -> None:
        self.stopped = self.stopped or stop

    def _budget_stop(self, exceeded: BudgetExceeded) -> Stop:
        budget = self._settings.budget_usd or 0.0
        what = (
            f"the budget of ${budget:.4f} is used up: the ledger shows "
            f"${to_dollars(exceeded.counted_nano):.4f} for {self._job.filter}, the next call may "
            f"cost ${to_dollars(exceeded.needed_nano):.4f}"
        )
        return Stop("budget", what, "answers so far are kept; go on with a higher --budget")

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

    def _tell_waiting(self) -> None:
        """Wake those who wait for budget, after the attempt was settled."""
        settled, self._settled = self._settled, asyncio.Event()
        asyncio.get_running_loop().call_soon(settled.set)


_RETRIED = ("rejected", "failed")
_HINTS = {
    "auth": "check the key in {variable}, and that it may use this model",
    "quota": "the account has no balance left; top it up, then run the same command again",
    "not_found": "check base_url and model in oracles.yaml (a recording knows one prompt only)",
}


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
