"""Every registered oracle provider keeps the same contract.

Core's providers are all here; a plugin's provider is checked by its own tests in the same way.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from distillery_core.fence import fence, normalised_key, prompt_hash_of_messages
from distillery_core.oracle.client import OracleFailure, OracleReply, OracleRequest
from distillery_core.oracle.opening import open_oracle
from distillery_core.oracle.recording import (
    RecordedAnswer,
    RecordingHead,
    load_recordings,
    write_recording,
)
from distillery_core.oracle.replay_server import ReplayServer
from distillery_core.oracle.spec import OracleSpec
from distillery_core.plugins.manager import load_plugins

SYSTEM, TEXT = "Score.", "A text that was recorded."
PROVIDERS = ("openai", "replay")


def request(text: str = TEXT) -> OracleRequest:
    schema = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}
    user = f"{fence('Title', text)}\nGo."
    return OracleRequest(SYSTEM, user, schema, "f", "json_schema", 50, 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    head = RecordingHead(
        filter="f",
        version=1,
        prompt_sha256=prompt_hash_of_messages(SYSTEM, request().user),
        model="recorded-model",
        recorded_at="2026-11",
    )
    answer = RecordedAnswer(id="1", text_key=normalised_key(TEXT), answer={"a": 4})
    write_recording(tmp_path / "recording", head, [answer])
    return tmp_path / "recording"


@pytest.fixture
def spec(folder: Path) -> Iterator[Callable[[str], OracleSpec]]:
    """The spec that reaches the recording through a provider."""
    with ExitStack() as stack:

        def build(provider: str) -> OracleSpec:
            if provider == "replay":
                return OracleSpec(
                    name="o", provider="replay", model="m", recording="plugin", paid=False
                )
            server = stack.enter_context(ReplayServer(load_recordings(folder)))
            return OracleSpec(name="o", model="m", base_url=server.base_url)

        yield build


def test_all_of_cores_providers_are_under_contract() -> None:
    core = {
        n for n, p in load_plugins().oracles.items() if p.factory.startswith("distillery_core.")
    }
    assert core == set(PROVIDERS)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_provider(provider: str, spec: Callable[[str], OracleSpec], folder: Path) -> None:
    async def run() -> tuple[OracleReply, OracleFailure]:
        opened = open_oracle(spec(provider), {}, recording_folder=folder)
        async with opened as oracle:
            assert oracle.spec.name == "o"
            assert oracle.identity
            assert inspect.iscoroutinefunction(oracle.complete)
            reply = await oracle.complete(request())
            replies = await asyncio.gather(*(oracle.complete(request()) for _ in range(5)))
            assert {other.text for other in replies} == {reply.text}
            with pytest.raises(OracleFailure) as caught:
                await oracle.complete(request("Something else."))
            return reply, caught.value

    reply, failure = asyncio.run(run())
    assert reply.text == '{"a": 4}'
    assert reply.finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.input_tokens > 0 < reply.usage.output_tokens
    assert reply.model == "recorded-model"
    assert reply.fingerprint
    assert reply.latency_s > 0
    assert failure.kind == "bad_request"
    assert failure.status == 422


@pytest.mark.parametrize("provider", PROVIDERS)
def test_identity_tells_sources_apart(
    provider: str, spec: Callable[[str], OracleSpec], folder: Path
) -> None:
    async def identity() -> str:
        async with open_oracle(spec(provider), {}, recording_folder=folder) as oracle:
            return oracle.identity

    first = asyncio.run(identity())
    answers = folder / "answers.jsonl"
    answers.write_text(answers.read_text().replace('"a":4', '"a":5'))
    assert asyncio.run(identity()) != first
