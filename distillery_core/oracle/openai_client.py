"""Any address that speaks the OpenAI chat-completions protocol, through the `openai` client.

The client's own retries are off: every call is one attempt in the ledger. Failures are classified,
and whatever text comes from outside is cleared of the key before anything else sees it.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai

from distillery_core.errors import UserError
from distillery_core.oracle.chat_reply import one_line, read_reply
from distillery_core.oracle.client import FailureKind, OracleFailure, OracleReply, OracleRequest
from distillery_core.oracle.provider_batch import BatchOracle
from distillery_core.oracle.rate_headers import read_limits, read_retry_after
from distillery_core.oracle.spec import OracleSpec

_NO_KEY = "no-key"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PATH = "/chat/completions"
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_NO_BALANCE = ("insufficient_quota", "insufficient balance", "billing")
_KIND_OF_STATUS: dict[int, FailureKind] = {
    401: "auth",
    402: "quota",
    403: "auth",
    404: "not_found",
    408: "transient",
    409: "transient",
    425: "transient",
    429: "overload",
    529: "overload",
}


def create(spec: OracleSpec, environ: Mapping[str, str]) -> OpenAIOracle:
    """The provider's factory.

    Raises:
        UserError: no address, or the key's variable is not set.
    """
    if spec.base_url is None:
        hint = "add base_url to its entry in oracles.yaml"
        raise UserError("an address is needed", where=f"oracle {spec.name!r}", hint=hint)
    return OpenAIOracle(spec, spec.base_url, _key(spec, environ), identity=spec.base_url)


def _key(spec: OracleSpec, environ: Mapping[str, str]) -> str:
    if spec.api_key_env is None:
        return _NO_KEY
    key = environ.get(spec.api_key_env, "").strip()
    if not key:
        raise UserError(
            f"the environment variable {spec.api_key_env} is not set",
            where=f"oracle {spec.name!r}",
            hint=f"export {spec.api_key_env}=...  (the key itself is never stored or shown)",
        )
    if not key.isascii() or not key.isprintable():
        raise UserError(f"{spec.api_key_env} holds characters that no key has", spec.name)
    return key


class OpenAIOracle:
    """One address, one model, one connection pool."""

    def __init__(self, spec: OracleSpec, base_url: str, key: str, *, identity: str) -> None:
        self.spec = spec
        self.identity = identity
        # A placeholder is no secret, and may be a word of the answer.
        self._secret = key if spec.api_key_env else None
        limits = httpx2.Limits(
            max_connections=spec.concurrency, max_keepalive_connections=spec.concurrency
        )
        address = urlsplit(base_url)
        self._client = openai.AsyncOpenAI(
            api_key=key,
            base_url=base_url,
            max_retries=0,
            timeout=spec.timeout_s,
            # aiohttp's connections cost half the time of httpx's own.
            http_client=openai.DefaultAioHttpClient(
                limits=limits,
                # A proxy of the environment must not carry calls to this very machine.
                trust_env=address.hostname not in _LOOPBACK,
                verify=_authorities(address.scheme),
            ),
        )

    async def complete(self, request: OracleRequest) -> OracleReply:
        """Ask once. Raises OracleFailure."""
        started = time.perf_counter()
        try:
            # The client's own limit is per read; a server that drips would hold a call for ever.
            async with asyncio.timeout(self.spec.timeout_s):
                # The body as it is: the client would walk through it and build typed objects of
                # the reply, which costs more than the rest of the call together.
                response = await self._client.post(
                    _PATH, body=self._body(request), cast_to=httpx2.Response
                )
            body = response.json()
        except TimeoutError:
            raise self._late() from None
        except (openai.OpenAIError, httpx2.HTTPError, ValueError, TypeError) as error:
            raise self._failure(error) from None
        reply = self._reply(body, time.perf_counter() - started)
        limits = read_limits(response.headers)
        return replace(reply, limits=limits) if limits else reply

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._client.close()

    def batches(self) -> BatchOracle:
        """The same address's endpoints for files and batches."""
        from distillery_core.oracle.provider_batch_openai import Dialect, OpenAIBatches

        dialect = Dialect(
            body=self._body,
            reply=self._reply,
            failure=self._failure,
            failure_of_status=self._failure_of,
            clear=lambda text: one_line(self._without_key(text)),
        )
        return OpenAIBatches(self._client, dialect)

    def _body(self, request: OracleRequest) -> dict[str, Any]:
        """The JSON body of a request."""
        body: dict[str, Any] = {
            "model": self.spec.model,
            "messages": request.messages(),
            self.spec.max_tokens_key: request.max_output_tokens,
        }
        if self.spec.send_temperature:
            body["temperature"] = request.temperature
        response_format = _response_format(request)
        if response_format is not None:
            body["response_format"] = response_format
        return body | self.spec.extra_body

    def _reply(self, body: Any, latency_s: float | None) -> OracleReply:
        return read_reply(
            body, model=self.spec.model, latency_s=latency_s, without_key=self._without_key
        )

    def _failure(self, error: Exception) -> OracleFailure:
        if isinstance(error, openai.APIStatusError):
            return self._failure_of(error.status_code, error.message, error.response.headers)
        causes = _causes(error)
        if _any(causes, aiohttp.ClientConnectorError, httpx2.ConnectError):
            message = f"nobody answers at {self.spec.base_url or 'the address'}"
            return OracleFailure("down", message)
        if _any(causes, TimeoutError, aiohttp.ServerTimeoutError):
            return self._late()
        cause = causes[-1]
        text = one_line(self._without_key(f"{type(cause).__name__}: {cause}"))
        return OracleFailure("transient", f"the reply broke off ({text})", maybe_charged=True)

    def _late(self) -> OracleFailure:
        message = f"no reply within {self.spec.timeout_s:g} s"
        return OracleFailure("transient", message, maybe_charged=True)

    def _failure_of(
        self, status: int, message: str, headers: Mapping[str, str] = _NO_HEADERS
    ) -> OracleFailure:
        message = one_line(self._without_key(message))
        return OracleFailure(
            _kind(status, message),
            message,
            status=status,
            retry_after_s=read_retry_after(headers, message),
            limits=read_limits(headers),
        )

    def _without_key(self, text: str) -> str:
        """Also without halves of surrogate pairs, which neither ledger nor file can hold."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        return text.replace(self._secret, "[key]") if self._secret else text


def _authorities(scheme: str) -> ssl.SSLContext | bool:
    """Whom to trust. A plain http address needs nobody, and loading them takes a sixth of a second;
    should it redirect to https after all, nothing is trusted."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if scheme == "http" else True


def _causes(error: BaseException) -> list[BaseException]:
    """From what arrived down to what happened. The names given on the way up mislead: a connection
    that was refused or dropped arrives as a timeout."""
    causes = [error]
    while (below := causes[-1].__cause__) is not None:
        causes.append(below)
    return causes


def _any(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _response_format(request: OracleRequest) -> dict[str, Any] | None:
    if request.answer_format == "json_schema" and request.schema is not None:
        schema = {"name": request.schema_name, "schema": dict(request.schema), "strict": True}
        return {"type": "json_schema", "json_schema": schema}
    return {"type": "json_object"} if request.answer_format == "json_object" else None


def _kind(status: int, message: str) -> FailureKind:
    if status == 429 and any(word in message.lower() for word in _NO_BALANCE):
        return "quota"
    if status in _KIND_OF_STATUS:
        return _KIND_OF_STATUS[status]
    return "transient" if status >= 500 else "bad_request"
