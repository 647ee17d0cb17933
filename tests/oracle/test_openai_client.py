"""The client against a real server: what failures are called, and that the key stays inside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest

from distillery_core.errors import UserError
from distillery_core.oracle.chat_reply import one_line, read_usage
from distillery_core.oracle.client import OracleFailure, OracleReply, OracleRequest, Usage
from distillery_core.oracle.faults import Fault, Faults
from distillery_core.oracle.openai_client import create
from distillery_core.oracle.rate_headers import read_retry_after
from distillery_core.oracle.recording import Recording
from distillery_core.oracle.replay_server import ReplayServer
from distillery_core.oracle.spec import OracleSpec

CANARY = "sk-canary-4711-never-show"
Build = Callable[..., OracleRequest]


def ask(recording: Recording, request: OracleRequest, *rules: Fault, **options: Any) -> OracleReply:
    """One call to a server with faults, with a key that must not leak."""
    spec_changes = options.pop("spec", {})
    with ReplayServer([recording], Faults(rules), **options) as server:
        spec = OracleSpec(
            name="o",
            model="m",
            base_url=server.base_url,
            api_key_env="CANARY_KEY",
            timeout_s=1,
            **spec_changes,
        )

        async def run() -> OracleReply:
            oracle = create(spec, {"CANARY_KEY": CANARY})
            try:
                return await oracle.complete(request)
            finally:
                await oracle.aclose()

        return asyncio.run(run())


def test_reply_holds_everything_the_ledger_keeps(
    recording: Recording, request_about: Build
) -> None:
    reply = ask(recording, request_about("The first text."), key=CANARY)
    assert reply.text == '{"a": 3}'
    assert (reply.finish_reason, reply.model) == ("stop", "tiny-model")
    assert reply.fingerprint.startswith("recording-")
    assert reply.usage is not None
    assert reply.latency_s > 0


@pytest.mark.parametrize(
    ("fault", "kind", "charged"),
    [
        (Fault("status", status=401), "auth", False),
        (Fault("status", status=403), "auth", False),
        (Fault("status", status=402), "quota", False),
        (Fault("status", status=429, message="insufficient_quota"), "quota", False),
        (Fault("status", status=404), "not_found", False),
        (Fault("status", status=400), "bad_request", False),
        (Fault("status", status=422), "bad_request", False),
        (Fault("status", status=429), "overload", False),
        (Fault("status", status=500), "transient", False),
        (Fault("status", status=503), "transient", False),
        (Fault("hang"), "transient", True),
        (Fault("cut"), "transient", True),
        (Fault("malformed"), "transient", True),
        (Fault("refusal"), "refused", True),
    ],
    ids=lambda value: f"{value.kind}{value.status}" if isinstance(value, Fault) else str(value),
)
def test_failures_are_classified(
    recording: Recording, request_about: Build, fault: Fault, kind: str, charged: bool
) -> None:
    with pytest.raises(OracleFailure) as caught:
        ask(recording, request_about("The first text."), fault)
    assert (caught.value.kind, caught.value.maybe_charged) == (kind, charged)


def test_nobody_listens(recording: Recording, request_about: Build) -> None:
    spec = {"base_url": "http://127.0.0.1:9/v1"}

    async def run() -> None:
        oracle = create(OracleSpec(model="m", **spec), {})
        try:
            await oracle.complete(request_about("x"))
        finally:
            await oracle.aclose()

    with pytest.raises(OracleFailure) as caught:
        asyncio.run(run())
    assert caught.value.kind == "down"


def test_retry_after_is_read_in_seconds_and_as_a_date(
    recording: Recording, request_about: Build
) -> None:
    with pytest.raises(OracleFailure) as caught:
        ask(recording, request_about("x"), Fault("status", status=429, retry_after_s=2.5))
    assert caught.value.retry_after_s == 2.5
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < (read_retry_after({"retry-after": soon}) or 0) <= 60
    assert read_retry_after({"retry-after": "soon"}) is None
    assert read_retry_after({"retry-after": "inf"}) is None
    assert read_retry_after({}) is None


def test_key_that_a_server_echoes_never_comes_through(
    recording: Recording, request_about: Build
) -> None:
    reply = ask(recording, request_about("The first text."), Fault("echo_key"))
    assert reply.text == "[key]"
    with pytest.raises(OracleFailure) as caught:
        ask(recording, request_about("The first text."), key="another key")
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value.__cause__)
    assert caught.value.kind == "auth"


def test_missing_key_and_missing_address_name_what_to_set() -> None:
    spec = OracleSpec(name="o", model="m", base_url="http://x", api_key_env="NO_SUCH_KEY")
    with pytest.raises(UserError, match="NO_SUCH_KEY is not set"):
        create(spec, {})
    with pytest.raises(UserError, match="an address is needed"):
        create(OracleSpec(name="o", model="m"), {})


def test_servers_without_counts_give_no_usage(recording: Recording, request_about: Build) -> None:
    assert ask(recording, request_about("The first text."), Fault("no_usage")).usage is None


def usage(prompt: int, completion: int, total: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total} | more


def test_counts_that_would_pay_money_back_are_no_counts() -> None:
    assert read_usage(usage(-5, 20, 15)) is None
    assert read_usage(usage(5, -20, 0)) is None


def reply(**changes: Any) -> dict[str, Any]:
    message = {"content": changes.pop("content", "{}"), "refusal": None}
    choices = [{"message": message, "finish_reason": "stop"}]
    return {"choices": choices, "usage": None, "model": "m"} | changes


@pytest.mark.parametrize(
    "answer",
    [
        reply(content=[{"type": "text", "text": "{}"}]),
        reply(usage=["many"]),
        reply(usage=usage("many", 2, 3)),  # type: ignore[arg-type]
        reply(choices={"first": 1}),
        ["a list"],
    ],
)
def test_a_reply_of_another_form_is_a_failure_and_no_crash(
    monkeypatch: pytest.MonkeyPatch, request_about: Build, answer: Any
) -> None:
    oracle = create(OracleSpec(name="o", model="m", base_url="http://127.0.0.1:9/v1"), {})

    async def give(*_: Any, **__: Any) -> httpx2.Response:
        return httpx2.Response(200, json=answer)

    async def run() -> None:
        monkeypatch.setattr(oracle._client, "post", give)
        try:
            await oracle.complete(request_about("The first text."))
        finally:
            await oracle.aclose()

    with pytest.raises(OracleFailure, match="not of this protocol") as caught:
        asyncio.run(run())
    assert (caught.value.kind, caught.value.maybe_charged) == ("transient", True)


def test_half_a_surrogate_pair_does_not_reach_the_ledger() -> None:
    oracle = create(OracleSpec(name="o", model="m", base_url="http://127.0.0.1:9/v1"), {})
    assert oracle._reply(reply(content="cut \ud83d"), 0.1).text == "cut ?"
    assert one_line(oracle._without_key("cut \ud83d")) == "cut ?"


def test_reasoning_that_is_only_in_the_total_is_counted_as_output() -> None:
    assert read_usage(usage(100, 20, 200)) == Usage(100, 100, reasoning_tokens=80)
    details = {"reasoning_tokens": 15}
    assert read_usage(usage(100, 20, 120, completion_tokens_details=details)) == Usage(
        100, 20, reasoning_tokens=15
    )


def test_cached_tokens_under_both_names() -> None:
    details = {"cached_tokens": 64}
    expected = Usage(100, 20, cached_tokens=64)
    assert read_usage(usage(100, 20, 120, prompt_tokens_details=details)) == expected
    assert read_usage(usage(100, 20, 120, prompt_cache_hit_tokens=64)) == expected
    assert read_usage(None) is None
