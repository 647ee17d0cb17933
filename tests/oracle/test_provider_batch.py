"""Files and batches: how lines are written and read, and what the replay server refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.oracle.client import OracleFailure, OracleReply
from distillery_core.oracle.openai_client import OpenAIOracle
from distillery_core.oracle.provider_batch import KEY_NAME, BatchLimits, BatchOracle, request_line
from distillery_core.oracle.recording import Recording
from distillery_core.oracle.replay_batches import BatchBehaviour
from distillery_core.oracle.replay_server import ReplayServer
from distillery_core.oracle.spec import OracleSpec

KEY = "sk-canary-7c1f"


def with_batches(server: ReplayServer, do: Callable[[BatchOracle], Awaitable[Any]]) -> Any:
    """Do something with the batch endpoints of a server."""
    spec = OracleSpec(name="t", model="m", base_url=server.base_url, api_key_env="K", batch=True)

    async def run() -> Any:
        oracle = OpenAIOracle(spec, server.base_url, KEY, identity="t")
        try:
            return await do(oracle.batches())
        finally:
            await oracle.aclose()

    return asyncio.run(run())


def read(server: ReplayServer, line: dict[str, Any] | str) -> Any:
    async def do(batches: BatchOracle) -> Any:
        return batches.read(line if isinstance(line, str) else json.dumps(line)).result

    return with_batches(server, do)


@pytest.fixture
def server(recording: Recording) -> ReplayServer:
    """Not started: these tests only read."""
    server = ReplayServer([recording])
    server.base_url = "http://127.0.0.1:9/v1"
    return server


@given(st.text())
def test_a_request_is_one_line_however_lines_are_split(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    line = request_line("k", {"messages": [{"role": "user", "content": text}]})
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line)["body"]["messages"][0]["content"] == text


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ({"error": {"code": "batch_expired", "message": "late"}}, "expired"),
        ({"error": {"code": "batch_cancelled", "message": "stop"}}, "not_run"),
        ({"error": {"code": "odd", "message": f"odd {KEY}"}}, "transient"),
        ({}, "transient"),
        ({"response": {"status_code": 429, "body": {"error": {"message": "slow"}}}}, "overload"),
        ({"response": {"status_code": 400, "body": {"error": {"message": KEY}}}}, "bad_request"),
        ({"response": {"status_code": 500, "body": {"error": "plain"}}}, "transient"),
        ({"response": {"status_code": 200, "body": {}}}, "transient"),
        ({"response": {"status_code": 200, "body": {"choices": [{}]}}}, "transient"),
        ({"response": {"status_code": 200, "body": None}}, "transient"),
    ],
)
def test_a_line_without_an_answer_is_a_failure(
    server: ReplayServer, line: dict[str, Any], kind: str
) -> None:
    failure = read(server, {"custom_id": "q", **line})
    assert isinstance(failure, OracleFailure)
    assert failure.kind == kind
    assert KEY not in failure.message


def test_an_answer_is_read_as_a_call_would_be(server: ReplayServer) -> None:
    message = {"role": "assistant", "content": f"text {KEY}"}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
    reply = read(server, {"custom_id": "q", "response": {"status_code": 200, "body": body}})
    assert isinstance(reply, OracleReply)
    assert (reply.text, reply.finish_reason, reply.latency_s) == ("text [key]", "stop", None)
    assert reply.usage is not None
    assert reply.usage.input_tokens == 7


@pytest.mark.parametrize("line", ["", "{", "[]", '{"response": {}}', '{"custom_id": 3}'])
def test_what_is_no_result_line_is_refused(server: ReplayServer, line: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        read(server, line)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"custom_id": "a"}\n{"custom_id": "a"}\n', "duplicate_custom_id"),
        (b'{"custom_id": "a"}\n{"custom_id": "b"}\n{"custom_id": "c"}\n', "too_large"),
        (b"no json\n", "invalid_json_line"),
    ],
)
def test_the_replay_server_validates_as_the_provider_does(
    recording: Recording, tmp_path: Path, content: bytes, code: str
) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(content)

    async def do(batches: BatchOracle) -> Any:
        created = await batches.create(await batches.upload(path), {KEY_NAME: "k"})
        return created, await batches.retrieve(created.id)

    with ReplayServer([recording], batch=BatchBehaviour(limits=BatchLimits(requests=2))) as server:
        created, remote = with_batches(server, do)
    assert created.status == "validating"
    assert (remote.status, remote.error_code) == ("failed", code)


def test_a_batch_is_found_by_its_key_among_many_pages(recording: Recording, tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(b'{"custom_id": "a"}\n')

    async def do(batches: BatchOracle) -> Any:
        await batches.create(await batches.upload(path), {KEY_NAME: "k"})
        first = server.batches.batches["batch_2"]
        for n in range(205):
            metadata = {KEY_NAME: f"k{n % 200}"}
            server.batches.batches[f"b{n}"] = replace(first, id=f"b{n}", metadata=metadata)
        return [len(await batches.find(f"k{n}", 0)) for n in (2, 100, 199, 500)]

    with ReplayServer([recording], batch=BatchBehaviour(seconds=60)) as server:
        assert with_batches(server, do) == [2, 1, 1, 0]


def test_endpoints_want_the_key_and_say_what_they_do_not_know(
    recording: Recording, tmp_path: Path
) -> None:
    async def unknown(batches: BatchOracle) -> None:
        for call in (
            batches.retrieve("batch_9"),
            batches.cancel("batch_9"),
            batches.download("file-9", tmp_path / "x"),
        ):
            with pytest.raises(OracleFailure) as caught:
                await call
            assert caught.value.kind == "not_found"

    async def refused(batches: BatchOracle) -> None:
        with pytest.raises(OracleFailure) as caught:
            await batches.retrieve("batch_9")
        assert caught.value.kind == "auth"
        assert KEY not in caught.value.message

    with ReplayServer([recording]) as server:
        with_batches(server, unknown)
    assert not (tmp_path / "x").exists()
    with ReplayServer([recording], key="another") as server:
        with_batches(server, refused)
