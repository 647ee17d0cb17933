"""Asking many questions at once, with an oracle in the same process that behaves as told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from typing import Any

import pytest

from distillery_core.errors import UserError
from distillery_core.oracle.asking import Asker
from distillery_core.oracle.client import OracleFailure, OracleReply, OracleRequest, Usage
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_job import open_job
from distillery_core.oracle.ledger_report import activity, money
from distillery_core.oracle.questions import AnswerForm, AskSettings, Outcome, Question
from distillery_core.oracle.spec import OracleSpec, Price
from distillery_core.oracle.steps import AnswerRejected

FORM = AnswerForm({"type": "object"}, "f", "json_schema", 1000, 0.0)
SPEC = OracleSpec(
    name="o",
    model="m",
    concurrency=4,
    price=Price(input=0, output=1, as_of=date(2026, 11, 1)),
)
WORST_USD = 1000 / 1e6
GOOD = OracleReply('{"a": 1}', "stop", Usage(10, 10), "m", "", 0.0)
Behaviour = Callable[[OracleRequest], Awaitable[OracleReply]]


class InProcess:
    """An oracle whose behaviour is a coroutine function."""

    identity = "here"

    def __init__(self, behaviour: Behaviour, spec: OracleSpec = SPEC) -> None:
        self.spec, self.behaviour = spec, behaviour
        self.calls = self.at_once = self.most_at_once = 0

    async def complete(self, request: OracleRequest) -> OracleReply:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0.001)
            return await self.behaviour(request)
        finally:
            self.at_once -= 1

    async def aclose(self) -> None:
        pass


def check(raw: str) -> dict[str, Any]:
    if not raw.startswith("{"):
        raise AnswerRejected("no object")
    return dict(json.loads(raw))


def question(number: int) -> Question:
    return Question(f"id{number}", f"text{number}", "prompt", "system", f"user {number}")


async def good(_: OracleRequest) -> OracleReply:
    return GOOD


def ask_all(
    ledger: Ledger, oracle: InProcess, numbers: Sequence[int], **settings: Any
) -> tuple[list[Outcome], Asker]:
    settings = {"backoff_s": 0.001, "backoff_cap_s": 0.005} | settings

    async def run() -> tuple[list[Outcome], Asker]:
        with open_job(ledger, "f:v1", oracle="o", purpose="batch", paid=True) as job:
            asker = Asker(oracle, job, FORM, check, AskSettings(**settings))
            return await asyncio.gather(*(asker.ask(question(n)) for n in numbers)), asker

    return asyncio.run(run())


def test_concurrency_is_kept(ledger: Ledger) -> None:
    oracle = InProcess(good)
    outcomes, _ = ask_all(ledger, oracle, range(40))
    assert {outcome.state for outcome in outcomes} == {"done"}
    assert oracle.most_at_once == 4


def test_scarce_budget_slows_down_before_it_stops(ledger: Ledger) -> None:
    """Reservations come back: a budget of one worst case and a half pays for many real calls."""
    oracle = InProcess(good)
    outcomes, _ = ask_all(ledger, oracle, range(40), budget_usd=1.5 * WORST_USD)
    assert {outcome.state for outcome in outcomes} == {"done"}
    assert oracle.most_at_once == 1
    assert money(ledger, "f:v1").spent_usd == pytest.approx(40 * 10 / 1e6)


def test_budget_is_never_exceeded_whatever_is_in_flight(ledger: Ledger) -> None:
    oracle = InProcess(good)
    budget = WORST_USD + 25 * 10 / 1e6
    outcomes, asker = ask_all(ledger, oracle, range(100), budget_usd=budget)
    states = [outcome.state for outcome in outcomes]
    assert (states.count("done"), states.count("open")) == (26, 74)
    assert asker.stopped is not None
    assert asker.stopped.kind == "budget"
    assert money(ledger, "f:v1").spent_usd <= budget


def test_overload_is_waited_out_by_asking_less(ledger: Ledger) -> None:
    oracle: InProcess

    async def crowded(_: OracleRequest) -> OracleReply:
        if oracle.at_once > 2:
            raise OracleFailure("overload", "too many", status=429, retry_after_s=0.001)
        return GOOD

    oracle = InProcess(crowded, SPEC.model_copy(update={"concurrency": 32}))
    outcomes, _ = ask_all(ledger, oracle, range(100))
    assert {outcome.state for outcome in outcomes} == {"done"}
    assert oracle.calls < 300


def test_abandoned_calls_are_interrupted_and_held(ledger: Ledger) -> None:
    async def never(_: OracleRequest) -> OracleReply:
        await asyncio.sleep(60)
        return GOOD

    async def run() -> None:
        with open_job(ledger, "f:v1", oracle="o", purpose="batch", paid=True) as job:
            asker = Asker(InProcess(never), job, FORM, check, AskSettings())
            await asyncio.wait_for(asker.ask(question(1)), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert activity(ledger, "f:v1").interrupted == 1
    assert money(ledger, "f:v1").held_usd == pytest.approx(WORST_USD)


def test_repair_goes_on_after_a_restart_instead_of_asking_anew(ledger: Ledger) -> None:
    seen: list[OracleRequest] = []

    async def prose_then_dead(request: OracleRequest) -> OracleReply:
        seen.append(request)
        if len(seen) == 1:
            return OracleReply("prose", "stop", Usage(10, 10), "m", "", 0.0)
        raise OracleFailure("auth", "key revoked", status=401)

    outcomes, _ = ask_all(ledger, InProcess(prose_then_dead), [1])
    assert outcomes[0].state == "open"

    async def mended(request: OracleRequest) -> OracleReply:
        seen.append(request)
        return GOOD

    outcomes, _ = ask_all(ledger, InProcess(mended), [1])
    assert (outcomes[0].state, len(seen)) == ("done", 3)
    assert seen[2].follow_up is not None
    assert seen[2].follow_up[0] == "prose"


def test_unknown_price_refuses_before_anything(ledger: Ledger) -> None:
    oracle = InProcess(good, SPEC.model_copy(update={"price": None}))
    with pytest.raises(UserError, match="no price"):
        ask_all(ledger, oracle, [1])
    assert oracle.calls == 0


@pytest.mark.parametrize("change", ["model", "prompt", "form", "identity"])
def test_answers_of_other_questions_are_never_reused(ledger: Ledger, change: str) -> None:
    ask_all(ledger, InProcess(good), [1])
    oracle, form, prompt = InProcess(good), FORM, "prompt"
    if change == "model":
        oracle.spec = SPEC.model_copy(update={"model": "other"})
    elif change == "identity":
        oracle.identity = "elsewhere"
    elif change == "form":
        form = AnswerForm({"type": "object"}, "f", "json_schema", 1000, 0.7)
    else:
        prompt = "another prompt"

    async def run() -> Outcome:
        with open_job(ledger, "f:v1", oracle="o", purpose="batch", paid=True) as job:
            asker = Asker(oracle, job, form, check, AskSettings())
            return await asker.ask(Question("id1", "text1", prompt, "system", "user 1"))

    assert not asyncio.run(run()).from_ledger
    assert oracle.calls == 1
