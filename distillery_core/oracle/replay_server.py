"""A server on 127.0.0.1 that speaks the OpenAI chat-completions protocol and replays recordings.

Files and batches are in `replay_batches`.

An answer is found by the filter (the schema's name), the prompt's hash and the article's text in
the fence. Another prompt gets a 404 that names both hashes, a text that was not recorded a 422.
Tokens are counted as characters / 4, rounded up, unless the recording brings its own counts.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from distillery_core.errors import UserError
from distillery_core.fence import fence_content, normalised_key, prompt_hash_of_messages
from distillery_core.oracle.faults import Fault, Faults, Request, spoiled
from distillery_core.oracle.recording import RecordedAnswer, Recording
from distillery_core.oracle.replay_batches import BatchBehaviour, ReplayBatches
from distillery_core.oracle.replay_limits import LimitGate, ReplayLimits

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response

CHARS_PER_TOKEN = 4
_START_TIMEOUT_S = 10
_NO_FAULTS = Faults()
_BATCHES_END_WELL = BatchBehaviour()


class _Refused(Exception):
    """A request that gets an error reply."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, read."""

    system: str
    user: str
    characters: int
    schema_name: str | None
    answer_format: str
    text_key: str
    bearer: str


class ReplayServer:
    """Serves recordings from a thread while its `with` block runs.

    `requests` counts what was asked per text key, `answered` what got a recorded answer; what came
    in a batch is counted by `batch_requests` and `batches.answered`. `connections` are the clients'
    addresses, one for each connection; `gate` counts what the limits refused.

    Args:
        latency_s: how long each reply is held back.
        limits: requests a window, with a provider's headers.
        batch: how batches go.
        key: when given, every other bearer token gets a 401.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        faults: Faults = _NO_FAULTS,
        *,
        latency_s: float = 0.0,
        key: str | None = None,
        batch: BatchBehaviour = _BATCHES_END_WELL,
        limits: ReplayLimits | None = None,
    ) -> None:
        self.recordings = recordings
        self.faults = faults
        self.latency_s = latency_s
        self.key = key
        self.requests: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.batch_requests: Counter[str] = Counter()
        self.gate = None if limits is None else LimitGate(limits)
        self.connections: set[tuple[str, int]] = set()
        self.batches = ReplayBatches(self._answer_line, self._refuse_key, batch)
        self.base_url = ""
        self._thread = _ServerThread(self)

    def __enter__(self) -> Self:
        self.base_url = f"http://127.0.0.1:{self._thread.start()}/v1"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.stop()

    async def models(self, _: HttpRequest) -> Response:
        """GET /v1/models."""
        from starlette.responses import JSONResponse

        names = sorted({recording.head.model for recording in self.recordings})
        listed = [{"id": name, "object": "model", "owned_by": "recording"} for name in names]
        return JSONResponse({"object": "list", "data": listed})

    async def completions(self, http: HttpRequest) -> Response:
        """POST /v1/chat/completions."""
        try:
            authorization = http.headers.get("authorization", "")
            asked = _read(await http.json(), authorization)
            self.connections.update([http.client] if http.client else [])
            return self._refuse_key(authorization) or await self._limited(asked)
        except _Refused as refused:
            return _error(refused.status, refused.message, refused.code)

    def _refuse_key(self, authorization: str) -> Response | None:
        """The reply to a key that is not the server's, or None."""
        bearer = authorization.removeprefix("Bearer ")
        if self.key is None or bearer == self.key:
            return None
        return _error(401, f"Incorrect API key provided: {bearer}", "invalid_key")

    def _answer_line(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """What a request in a batch gets: status and body."""
        try:
            asked = _read(body, "")
            fault = self.faults.hit(self._counted(asked, self.batch_requests))
            if fault is not None and fault.kind in ("status", "hang", "cut", "malformed"):
                raise _Refused(fault.status, fault.message, "injected")
            response = _completion(asked, *self._find(asked), fault)
        except _Refused as refused:
            response = _error(refused.status, refused.message, refused.code)
        return response.status_code, json.loads(bytes(response.body))

    async def _limited(self, asked: _Asked) -> Response:
        if self.gate is None:
            return await self._respond(asked)
        if self.gate.passes():
            response = await self._respond(asked)
            response.headers.update(self.gate.headers())
            return response
        headers = self.gate.headers() | self.gate.retry_after()
        return _error(429, "Rate limit reached for requests", "rate_limit_exceeded", headers)

    def _counted(self, asked: _Asked, counter: Counter[str]) -> Request:
        """Count a request, and say how many came before it, about its text and in all."""
        position = self.requests.total() + self.batch_requests.total()
        count = self.requests[asked.text_key] + self.batch_requests[asked.text_key]
        counter[asked.text_key] += 1
        return Request(asked.text_key, count, position, asked.answer_format)

    async def _respond(self, asked: _Asked) -> Response:
        request = self._counted(asked, self.requests)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        fault = self.faults.hit(request)
        instead = await _instead_of_reply(fault) if fault else None
        if instead is not None:
            return instead
        recording, answer = self._find(asked)
        self.answered[asked.text_key] += 1
        return _completion(asked, recording, answer, fault)

    def _find(self, asked: _Asked) -> tuple[Recording, RecordedAnswer]:
        sent = prompt_hash_of_messages(asked.system, asked.user)
        known = [r for r in self.recordings if asked.schema_name in (None, r.head.filter)]
        for recording in known:
            if recording.head.prompt_sha256 == sent:
                return recording, _answer(recording, asked.text_key)
        declared = ", ".join(f"{r.head.filter}: {r.head.prompt_sha256}" for r in self.recordings)
        raise _Refused(
            404,
            f"nothing was recorded for the prompt {sent}; recorded are {declared}",
            "prompt_not_recorded",
        )


def _read(body: Any, authorization: str) -> _Asked:
    try:
        texts = [(m["role"], str(m["content"])) for m in body["messages"]]
        system = next((text for role, text in texts if role == "system"), "")
        user = next(text for role, text in texts if role == "user")
        wanted = body.get("response_format") or {"type": "text"}
        schema_name = wanted.get("json_schema", {}).get("name")
        content = fence_content(user)[1]
    except (KeyError, TypeError, AttributeError, StopIteration, ValueError) as error:
        raise _Refused(400, f"not a request this server knows: {error}", "bad_request") from None
    return _Asked(
        system=system,
        user=user,
        characters=sum(len(text) for _, text in texts),
        schema_name=schema_name,
        answer_format=str(wanted["type"]),
        text_key=normalised_key(content),
        bearer=authorization.removeprefix("Bearer "),
    )


def _answer(recording: Recording, text_key: str) -> RecordedAnswer:
    found = recording.answers.get(text_key)
    if found is None:
        what = f"no answer was recorded for this text (filter {recording.head.filter})"
        raise _Refused(422, what, "article_not_recorded")
    return found


async def _instead_of_reply(fault: Fault) -> Response | None:
    """The reply of a fault that leaves no room for an answer."""
    from starlette.responses import PlainTextResponse, StreamingResponse

    if fault.kind == "status":
        wait = fault.retry_after_s
        headers = {} if wait is None else {"retry-after": f"{wait:g}"}
        return _error(fault.status, fault.message, "injected", headers)
    if fault.kind == "hang":
        await asyncio.sleep(3600)
    if fault.kind == "cut":
        headers = {"content-type": "application/json", "content-length": "10000"}
        return StreamingResponse(_half(), headers=headers)
    if fault.kind == "malformed":
        return PlainTextResponse('{"id": "chatcmpl', media_type="application/json")
    return None


async def _half() -> AsyncIterator[bytes]:
    """Less than the content-length promises; the server then drops the connection."""
    yield b'{"id": "chatcmpl-0", "choices": [{"mess'


def _completion(
    asked: _Asked, recording: Recording, answer: RecordedAnswer, fault: Fault | None
) -> Response:
    from starlette.responses import JSONResponse

    kind = fault.kind if fault else ""
    text = asked.bearer if kind == "echo_key" else spoiled(kind, answer.answer)
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if kind == "refusal":
        message |= {"content": None, "refusal": "I cannot rate this text."}
    body: dict[str, Any] = {
        "id": f"replay-{asked.text_key[:12]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": recording.head.model + ("-next" if kind == "other_model" else ""),
        "system_fingerprint": (
            "another" if kind == "other_fingerprint" else f"recording-{recording.digest[:12]}"
        ),
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "length" if kind == "length" else "stop",
                "logprobs": None,
            }
        ],
    }
    if kind != "no_usage":
        body["usage"] = _usage(asked, answer, text)
    if kind == "half_cached":
        half = body["usage"]["prompt_tokens"] // 2
        body["usage"]["prompt_tokens_details"] = {"cached_tokens": half}
    return JSONResponse(body)


def _usage(asked: _Asked, answer: RecordedAnswer, text: str) -> dict[str, int]:
    if answer.usage is not None:
        prompt, completion = answer.usage.input_tokens, answer.usage.output_tokens
    else:
        prompt, completion = _tokens(asked.characters), _tokens(len(text))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _tokens(characters: int) -> int:
    return math.ceil(characters / CHARS_PER_TOKEN)


def _error(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import Response

    body = {"error": {"message": message, "type": code, "code": code, "param": None}}
    return Response(json.dumps(body), status, headers, media_type="application/json")


def _application(server: ReplayServer) -> Starlette:
    from starlette.applications import Starlette
    from starlette.routing import Route

    return Starlette(
        routes=[
            Route("/v1/models", server.models, methods=["GET"]),
            Route("/v1/chat/completions", server.completions, methods=["POST"]),
            *server.batches.routes(),
        ]
    )


class _ServerThread:
    """uvicorn in a thread, on a port that the system chooses."""

    def __init__(self, server: ReplayServer) -> None:
        self._server = server
        self._uvicorn: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Start and wait until it listens; returns the port."""
        try:
            import uvicorn

            application = _application(self._server)
        except ImportError:
            hint = "pip install 'distillery-core[demo]'"
            what = "replaying recorded answers needs starlette and uvicorn"
            raise UserError(what, hint=hint) from None
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        # Head and body of a reply are two writes; without this the second one waits 40 ms for the
        # acknowledgement of the first, for asyncio does not know the socket as one of TCP.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            application,
            log_config=None,
            log_level="critical",  # a client that hangs up is no news, least of all on the console
            access_log=False,
            lifespan="off",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._uvicorn.run, kwargs={"sockets": [listener]}, daemon=True
        )
        self._thread.start()
        self._wait_until_started()
        return int(listener.getsockname()[1])

    def stop(self) -> None:
        """Stop and wait for the thread."""
        if self._uvicorn is not None and self._thread is not None:
            self._uvicorn.should_exit = True
            self._thread.join(_START_TIMEOUT_S)

    def _wait_until_started(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._uvicorn.started:
            if time.monotonic() > deadline:
                raise UserError("the replay server did not start", where="127.0.0.1")
            time.sleep(0.005)
