"""OpenAI's endpoints for files and batches, through the `openai` client.

Nothing is sent twice here: the client's own retries are off, and whoever calls decides.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import openai
from openai.types import Batch
from pydantic import BaseModel, ConfigDict

from distillery_core.files import atomic_write
from distillery_core.oracle.client import OracleFailure, OracleReply, OracleRequest
from distillery_core.oracle.provider_batch import (
    ENDPOINT,
    KEY_NAME,
    WINDOW,
    BatchLine,
    RemoteBatch,
)

_PAGE = 100
_CLOCKS_APART_S = 3600
_EXPIRED = "batch_expired"
_CANCELLED = "batch_cancelled"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one address words requests, replies and failures; the same for calls and batches."""

    body: Callable[[OracleRequest], dict[str, Any]]
    reply: Callable[[Any, float | None], OracleReply]
    failure: Callable[[Exception], OracleFailure]
    failure_of_status: Callable[[int, str], OracleFailure]
    clear: Callable[[str], str]


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True)

    status_code: int
    body: dict[str, Any] | None = None


class _Error(BaseModel):
    model_config = ConfigDict(frozen=True)

    code: str | None = None
    message: str | None = None


class _ResultLine(BaseModel):
    """A line of an output or error file: a response (of any status), or an error without one."""

    model_config = ConfigDict(frozen=True)

    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


class OpenAIBatches:
    """The batch endpoints of one address; see `BatchOracle`."""

    def __init__(self, client: openai.AsyncOpenAI, dialect: Dialect) -> None:
        self._client = client
        self._dialect = dialect
        self.body = dialect.body

    async def upload(self, path: Path) -> str:
        """Upload a file of requests, read as it is sent."""
        async with self._failures():
            with path.open("rb") as handle:
                file = (path.name, handle, "application/jsonl")
                return (await self._client.files.create(file=file, purpose="batch")).id

    async def create(self, file_id: str, metadata: Mapping[str, str]) -> RemoteBatch:
        """Make a batch of an uploaded file."""
        async with self._failures():
            return self._remote(
                await self._client.batches.create(
                    input_file_id=file_id,
                    endpoint=ENDPOINT,
                    completion_window=WINDOW,
                    metadata=dict(metadata),
                )
            )

    async def find(self, key: str, since: float) -> list[RemoteBatch]:
        """The batches with this key, from the listing, which has the newest first."""
        found: list[RemoteBatch] = []
        async with self._failures():
            async for batch in self._client.batches.list(limit=_PAGE):
                if batch.created_at < since - _CLOCKS_APART_S:
                    break
                if (batch.metadata or {}).get(KEY_NAME) == key:
                    found.append(self._remote(batch))
        return found[::-1]

    async def retrieve(self, batch_id: str) -> RemoteBatch:
        """How a batch stands."""
        async with self._failures():
            return self._remote(await self._client.batches.retrieve(batch_id))

    async def cancel(self, batch_id: str) -> RemoteBatch:
        """Ask to end a batch."""
        async with self._failures():
            return self._remote(await self._client.batches.cancel(batch_id))

    async def download(self, file_id: str, path: Path) -> None:
        """Fetch a result file piece by piece; it appears whole or not at all."""
        files = self._client.files.with_streaming_response
        async with self._failures(), files.content(file_id) as response:
            with atomic_write(path, "wb") as handle:
                async for piece in response.iter_bytes():
                    handle.write(piece)

    def read(self, line: str) -> BatchLine:
        """Read a line of a result file; pydantic's error is a ValueError."""
        row = _ResultLine.model_validate_json(line)
        return BatchLine(row.custom_id, self._result(row))

    def _result(self, row: _ResultLine) -> OracleReply | OracleFailure:
        response = row.response
        if response is None:
            return self._without_response(row.error or _Error())
        if response.status_code == 200:
            try:
                return self._dialect.reply(response.body or {}, None)
            except OracleFailure as failure:
                return failure
        message = _message(response.body) or f"HTTP {response.status_code}"
        return self._dialect.failure_of_status(response.status_code, message)

    def _without_response(self, error: _Error) -> OracleFailure:
        if error.code == _EXPIRED:
            return OracleFailure("expired", "the batch's time was up before this request's turn")
        if error.code == _CANCELLED:
            return OracleFailure("not_run", "the batch was cancelled before this request's turn")
        # 500: nothing is known but that it was not the question's fault.
        return self._dialect.failure_of_status(500, error.message or error.code or "no response")

    @asynccontextmanager
    async def _failures(self) -> AsyncIterator[None]:
        """Whatever goes wrong on the way, as an OracleFailure."""
        try:
            yield
        except (openai.OpenAIError, httpx2.HTTPError, ValueError, TypeError) as error:
            raise self._dialect.failure(error) from None

    def _remote(self, batch: Batch) -> RemoteBatch:
        """A batch as the client gives it, which checks nothing."""
        counts = batch.request_counts
        errors = (batch.errors.data if batch.errors else None) or []
        error = errors[0] if errors else None
        return RemoteBatch(
            id=batch.id,
            status=batch.status,
            answered=counts.completed if counts else 0,
            failed=counts.failed if counts else 0,
            output_file_id=batch.output_file_id,
            error_file_id=batch.error_file_id,
            error_code=str(error.code or "") if error else "",
            error_message=self._dialect.clear(str(error.message or "")) if error else "",
        )


def _message(body: dict[str, Any] | None) -> str:
    """The message of an error body, `{"error": {"message": ...}}`."""
    error = (body or {}).get("error")
    return str(error.get("message") or "") if isinstance(error, dict) else str(error or "")
