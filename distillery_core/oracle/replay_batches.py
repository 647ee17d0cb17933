"""The replay server's endpoints for files and batches, as OpenAI has them.

POST /v1/files                GET /v1/batches               GET /v1/batches/{id}
GET /v1/files/{id}/content    POST /v1/batches              POST /v1/batches/{id}/cancel

A batch goes through validating, in_progress and finalizing while its time passes, and is answered
when it ends: from the recording, with the same faults as calls. What a batch can do wrong besides
stands in `BatchBehaviour`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from distillery_core.oracle.provider_batch import ENDPOINT, WINDOW, BatchLimits

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response
    from starlette.routing import Route

_EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}
_CANCELLED = {"code": "batch_cancelled", "message": "This request was cancelled."}
_PHASES = ((0.1, "validating"), (0.9, "in_progress"), (1.0, "finalizing"))


@dataclass(frozen=True, slots=True)
class BatchBehaviour:
    """How batches go.

    Args:
        seconds: from creation to the end.
        expires_at: share of the requests that were run when the time was up, 0-1; None completes.
        refused: error code with which validation fails, e.g. "invalid_model".
        queue: requests that may wait in unfinished batches together; a batch beyond that fails
            with "token_limit_exceeded".
        omitted: share of the requests of which no result says anything, 0-1.
        limits: a batch beyond them fails.
        unheard: so many batches are made and the reply is a 500 all the same.
    """

    seconds: float = 0.05
    expires_at: float | None = None
    refused: str | None = None
    queue: int | None = None
    omitted: float = 0.0
    limits: BatchLimits = field(default_factory=BatchLimits)
    unheard: int = 0


@dataclass(slots=True)
class _Batch:
    """A batch on the server; times are Unix times in seconds."""

    id: str
    input_file_id: str
    metadata: Mapping[str, str]
    created: float
    ends: float
    requests: list[dict[str, Any]]
    error: dict[str, str] | None = None
    cancelled: bool = False
    output_file_id: str | None = None
    error_file_id: str | None = None
    answered: int = 0
    failed: int = 0
    status: str = "validating"


Answer = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]
"""Answers the body of one request: HTTP status and body."""


class ReplayBatches:
    """Files and batches of one replay server; `answered` counts answers by custom id.

    Args:
        answer: what a call with this body would get.
        allowed: whether a request's bearer token may ask; returns the reply to one that may not.
    """

    def __init__(
        self,
        answer: Answer,
        allowed: Callable[[str], Response | None],
        behaviour: BatchBehaviour,
    ) -> None:
        self.behaviour = behaviour
        self.answered: Counter[str] = Counter()
        self.batches: dict[str, _Batch] = {}
        self.files: dict[str, bytes] = {}
        self._answer, self._allowed = answer, allowed
        self._numbers = itertools.count(1)

    def routes(self) -> list[Route]:
        """The endpoints."""
        from starlette.routing import Route

        table: list[tuple[str, str, Callable[[HttpRequest, bytes], Response]]] = [
            ("POST", "/v1/files", self._upload),
            ("GET", "/v1/files/{id}/content", self._content),
            ("POST", "/v1/batches", self._create),
            ("GET", "/v1/batches", self._list),
            ("GET", "/v1/batches/{id}", self._retrieve),
            ("POST", "/v1/batches/{id}/cancel", self._cancel),
        ]
        return [Route(path, self._guarded(do), methods=[method]) for method, path, do in table]

    def _guarded(self, do: Callable[[HttpRequest, bytes], Response]) -> Callable[..., Any]:
        async def endpoint(http: HttpRequest) -> Response:
            body = await http.body()
            refused = self._allowed(http.headers.get("authorization", ""))
            return refused if refused is not None else do(http, body)

        return endpoint

    def _upload(self, http: HttpRequest, body: bytes) -> Response:
        parts = _form(http.headers.get("content-type", ""), body)
        if parts.get("purpose") != b"batch" or "file" not in parts:
            return _error(400, "a file and the purpose 'batch' are needed")
        file_id = self._keep(parts["file"])
        size = len(parts["file"])
        described = {"id": file_id, "object": "file", "bytes": size, "created_at": int(time.time())}
        return _json(
            described | {"filename": "batch.jsonl", "purpose": "batch", "status": "processed"}
        )

    def _content(self, http: HttpRequest, _: bytes) -> Response:
        from starlette.responses import Response

        data = self.files.get(http.path_params["id"])
        if data is None:
            return _error(404, "No such File object")
        return Response(data, media_type="application/octet-stream")

    def _create(self, _: HttpRequest, body: bytes) -> Response:
        asked = json.loads(body)
        if asked.get("endpoint") != ENDPOINT or asked.get("completion_window") != WINDOW:
            return _error(400, f"only {ENDPOINT} within {WINDOW} is served")
        data = self.files.get(asked.get("input_file_id", ""))
        if data is None:
            return _error(400, "Invalid file id")
        now = time.time()
        requests, error = self._read(data)
        batch = _Batch(
            id=f"batch_{next(self._numbers)}",
            input_file_id=asked["input_file_id"],
            metadata=asked.get("metadata") or {},
            created=now,
            ends=now if error else now + self.behaviour.seconds,
            requests=requests,
            error=error,
        )
        self.batches[batch.id] = batch
        if len(self.batches) <= self.behaviour.unheard:
            return _error(500, "the server had an error")
        return _json(_described(batch))

    def _read(self, data: bytes) -> tuple[list[dict[str, Any]], dict[str, str] | None]:
        """The requests of a file, and why they are refused, if they are."""
        limits, refused = self.behaviour.limits, self.behaviour.refused
        if refused is not None:
            return [], {"code": refused, "message": f"the batch was refused ({refused})"}
        try:
            requests = [json.loads(line) for line in data.decode().split("\n") if line]
            distinct = {request["custom_id"] for request in requests}
        except (ValueError, KeyError, TypeError):
            return [], {"code": "invalid_json_line", "message": "a line is not a request"}
        if len(requests) > limits.requests or len(data) > limits.bytes:
            return [], {"code": "too_large", "message": "too many requests, or too many bytes"}
        if len(distinct) != len(requests):
            return [], {"code": "duplicate_custom_id", "message": "a custom_id is given twice"}
        waiting = sum(len(b.requests) for b in self.batches.values() if not self._ended(b))
        queue = self.behaviour.queue
        if queue is not None and waiting + len(requests) > queue:
            return [], {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
        return requests, None

    def _list(self, http: HttpRequest, _: bytes) -> Response:
        newest = list(self.batches.values())[::-1]
        after = http.query_params.get("after")
        if after is not None:
            position = next((n for n, batch in enumerate(newest, 1) if batch.id == after), 0)
            newest = newest[position:]
        limit = int(http.query_params.get("limit", "20"))
        page = [_described(self._now(batch)) for batch in newest[:limit]]
        return _json({"object": "list", "data": page, "has_more": len(newest) > limit})

    def _retrieve(self, http: HttpRequest, _: bytes) -> Response:
        batch = self.batches.get(http.path_params["id"])
        if batch is None:
            return _error(404, "No batch found with this id")
        return _json(_described(self._now(batch)))

    def _cancel(self, http: HttpRequest, _: bytes) -> Response:
        batch = self.batches.get(http.path_params["id"])
        if batch is None:
            return _error(404, "No batch found with this id")
        if self._ended(self._now(batch)):
            return _error(409, f"Cannot cancel a batch with status '{batch.status}'.")
        batch.cancelled, batch.status = True, "cancelling"
        return _json(_described(batch))

    def _ended(self, batch: _Batch) -> bool:
        return batch.status in ("completed", "failed", "expired", "cancelled")

    def _now(self, batch: _Batch) -> _Batch:
        """The batch as it stands now; one whose time is up is run."""
        if self._ended(batch):
            return batch
        now = time.time()
        if batch.error is not None:
            batch.status = "failed"
        elif batch.cancelled:
            passed = (now - batch.created) / max(batch.ends - batch.created, 1e-9)
            self._run(batch, min(passed, 1.0), _CANCELLED)
            batch.status = "cancelled"
        elif now >= batch.ends:
            share = self.behaviour.expires_at
            self._run(batch, 1.0 if share is None else share, _EXPIRED)
            batch.status = "completed" if share is None else "expired"
        else:
            passed = (now - batch.created) / (batch.ends - batch.created)
            batch.status = next(name for until, name in _PHASES if passed < until)
        return batch

    def _run(self, batch: _Batch, share: float, otherwise: dict[str, str]) -> None:
        """Answer a share of the requests; the others get an error without a response."""
        count = round(share * len(batch.requests))
        outputs: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for number, request in enumerate(batch.requests):
            custom_id = request["custom_id"]
            line = {"id": f"batch_req_{number}", "custom_id": custom_id}
            if number >= count:
                errors.append(line | {"response": None, "error": otherwise})
                continue
            status, body = self._answer(request["body"])
            response = {"status_code": status, "request_id": f"req_{number}", "body": body}
            batch.answered += status == 200
            batch.failed += status != 200
            self.answered[custom_id] += status == 200
            if _drawn(custom_id) >= self.behaviour.omitted:
                wanted = outputs if status == 200 else errors
                wanted.append(line | {"response": response, "error": None})
        batch.output_file_id = self._keep(_jsonl(outputs)) if outputs else None
        batch.error_file_id = self._keep(_jsonl(errors)) if errors else None

    def _keep(self, data: bytes) -> str:
        file_id = f"file-{next(self._numbers)}"
        self.files[file_id] = data
        return file_id


def _drawn(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def _described(batch: _Batch) -> dict[str, Any]:
    errors = {"object": "list", "data": [batch.error]} if batch.status == "failed" else None
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": ENDPOINT,
        "completion_window": WINDOW,
        "status": batch.status,
        "input_file_id": batch.input_file_id,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": int(batch.created),
        "metadata": dict(batch.metadata),
        "errors": errors,
        "request_counts": {
            "total": len(batch.requests),
            "completed": batch.answered,
            "failed": batch.failed,
        },
    }


def _form(content_type: str, body: bytes) -> dict[str, bytes]:
    """The parts of a multipart/form-data body, by name."""
    boundary = content_type.partition("boundary=")[2].strip('"').encode()
    parts: dict[str, bytes] = {}
    for piece in body.split(b"--" + boundary)[1:-1] if boundary else []:
        head, _, value = piece.partition(b"\r\n\r\n")
        name = head.partition(b'name="')[2].partition(b'"')[0].decode()
        parts[name] = value.removesuffix(b"\r\n")
    return parts


def _jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _json(value: dict[str, Any]) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(value)


def _error(status: int, message: str) -> Response:
    from starlette.responses import JSONResponse

    error = {"message": message, "type": "invalid_request_error", "code": None, "param": None}
    return JSONResponse({"error": error}, status)
