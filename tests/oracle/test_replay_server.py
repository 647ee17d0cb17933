"""The replay server speaks the protocol, and says plainly what it does not have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from distillery_core.fence import normalised_key, prompt_hash_of_messages
from distillery_core.oracle.client import OracleRequest
from distillery_core.oracle.faults import Fault, Faults, Request
from distillery_core.oracle.recording import Recording
from distillery_core.oracle.replay_server import ReplayServer

Build = Callable[..., OracleRequest]


@pytest.fixture
def server(recording: Recording) -> Iterator[ReplayServer]:
    with ReplayServer([recording]) as started:
        yield started


def post(server: ReplayServer, request: OracleRequest, **more: Any) -> httpx2.Response:
    body = {"model": "any", "messages": request.messages(), **more}
    url = f"{server.base_url}/chat/completions"
    return httpx2.post(url, json=body, headers={"authorization": "Bearer k"}, trust_env=False)


def test_answer_comes_with_counts_by_the_stated_rule(
    server: ReplayServer, request_about: Build
) -> None:
    request = request_about("The first text.")
    body = post(server, request).json()
    assert body["choices"][0]["message"]["content"] == '{"a": 3}'
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["model"] == "tiny-model"
    characters = sum(len(message["content"]) for message in request.messages())
    assert body["usage"]["prompt_tokens"] == -(-characters // 4)
    assert body["usage"]["completion_tokens"] == 2


def test_models_are_listed(server: ReplayServer) -> None:
    body = httpx2.get(f"{server.base_url}/models", trust_env=False).json()
    assert [model["id"] for model in body["data"]] == ["tiny-model"]


def test_another_prompt_gets_a_404_that_names_both_hashes(
    server: ReplayServer, recording: Recording, request_about: Build
) -> None:
    request = request_about("The first text.", system="Score it otherwise.")
    response = post(server, request)
    message = response.json()["error"]["message"]
    assert response.status_code == 404
    assert recording.head.prompt_sha256 in message
    assert prompt_hash_of_messages(request.system, request.user) in message


def test_another_filter_is_not_answered(server: ReplayServer, request_about: Build) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "other", "schema": {}}}
    response = post(server, request_about("The first text."), response_format=wanted)
    assert response.status_code == 404


def test_unknown_text_gets_a_422_and_no_fence_a_400(
    server: ReplayServer, request_about: Build
) -> None:
    assert post(server, request_about("Unknown.")).status_code == 422
    assert post(server, request_about("x", user="no fence")).status_code == 400


def test_requests_are_counted_per_text(server: ReplayServer, request_about: Build) -> None:
    for text in ("The first text.", "the first TEXT", "Unknown."):
        post(server, request_about(text))
    assert server.requests[normalised_key("The first text.")] == 2
    assert server.answered.total() == 2


def test_repair_conversation_is_recognised(server: ReplayServer, request_about: Build) -> None:
    request = request_about("The second text.", follow_up=("prose", "Answer with JSON."))
    assert post(server, request).json()["choices"][0]["message"]["content"] == '{"a": 3}'


def test_faults_depend_on_the_text_not_on_the_order() -> None:
    faults = Faults([Fault("status", share=0.3)], seed=5)
    requests = [Request(f"t{n}", 0, n, "text") for n in range(300)]
    hit = {r.text_key for r in requests if faults.hit(r)}
    backwards = [Request(r.text_key, 0, 300 - r.position, "text") for r in reversed(requests)]
    assert {r.text_key for r in backwards if faults.hit(r)} == hit
    assert 50 < len(hit) < 130


def test_the_second_half_of_a_reply_does_not_wait_for_the_first_to_be_acknowledged(
    server: ReplayServer,
) -> None:
    """Head and body are two writes; held back by Nagle's algorithm, each reply takes 40 ms more."""
    with httpx2.Client() as client:
        took = []
        for _ in range(20):
            began = time.perf_counter()
            client.get(f"{server.base_url}/models")
            took.append(time.perf_counter() - began)
    assert sorted(took)[len(took) // 2] < 0.03
