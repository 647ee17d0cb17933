"""Any address that speaks the OpenAI chat-completions protocol, through the `openai` client.

The client's own retries are off: every call is one attempt in the ledger. Failures are classified,
and whatever text comes from outside is cleared of the key before anything else sees it.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from distillery_core.errors import UserError
from distillery_core.oracle.client import (
    FailureKind,
    OracleFailure,
    OracleReply,
    OracleRequest,
    Usage,
)
from distillery_core.oracle.spec import OracleSpec

_NO_KEY = "no-key"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_MESSAGE_CHARS = 500
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
            http_client=openai.DefaultAsyncHttpxClient(
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
                answer = await self._client.chat.completions.create(**self._arguments(request))
        except TimeoutError:
            raise self._late() from None
        except (openai.OpenAIError, httpx2.HTTPError, ValueError, TypeError) as error:
            raise self._failure(error) from None
        try:
            return self._reply(answer, time.perf_counter() - started)
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # nothing is checked
            what = f"the reply is not of this protocol ({type(error).__name__})"
            raise OracleFailure("transient", what, maybe_charged=True) from None

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._client.close()

    def _arguments(self, request: OracleRequest) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": self.spec.model,
            "messages": request.messages(),
            self.spec.max_tokens_key: request.max_output_tokens,
        }
        if self.spec.send_temperature:
            arguments["temperature"] = request.temperature
        if self.spec.extra_body:
            arguments["extra_body"] = self.spec.extra_body
        response_format = _response_format(request)
        if response_format is not None:
            arguments["response_format"] = response_format
        return arguments

    def _reply(self, answer: Any, latency_s: float) -> OracleReply:
        choices = getattr(answer, "choices", None)
        if not choices or getattr(choices[0], "message", None) is None:
            raise OracleFailure("transient", "the reply holds no answer", maybe_charged=True)
        message = choices[0].message
        if not message.content and getattr(message, "refusal", None):
            text = self._clear(str(message.refusal))
            raise OracleFailure("refused", f"the model refused: {text}", maybe_charged=True)
        return OracleReply(
            text=self._without_key(message.content or ""),
            finish_reason=self._clear(str(choices[0].finish_reason or "")),
            usage=_usage(getattr(answer, "usage", None)),
            model=self._clear(str(answer.model or self.spec.model)),
            fingerprint=self._clear(str(getattr(answer, "system_fingerprint", None) or "")),
            latency_s=latency_s,
        )

    def _failure(self, error: Exception) -> OracleFailure:
        if isinstance(error, openai.APIStatusError):
            return self._status_failure(error)
        if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
            return self._late()
        if isinstance(error.__cause__, httpx2.ConnectError):
            message = f"nobody answers at {self.spec.base_url or 'the address'}"
            return OracleFailure("down", message)
        text = self._clear(f"{type(error).__name__}: {error.__cause__ or error}")
        return OracleFailure("transient", f"the reply broke off ({text})", maybe_charged=True)

    def _late(self) -> OracleFailure:
        message = f"no reply within {self.spec.timeout_s:g} s"
        return OracleFailure("transient", message, maybe_charged=True)

    def _status_failure(self, error: openai.APIStatusError) -> OracleFailure:
        message = self._clear(error.message)
        return OracleFailure(
            _kind(error.status_code, message),
            message,
            status=error.status_code,
            retry_after_s=_retry_after(error.response.headers),
        )

    def _clear(self, text: str) -> str:
        """Text from outside without the key, on one line, not too long."""
        return " ".join(self._without_key(text).split())[:_MESSAGE_CHARS]

    def _without_key(self, text: str) -> str:
        """Also without halves of surrogate pairs, which neither ledger nor file can hold."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        return text.replace(self._secret, "[key]") if self._secret else text


def _authorities(scheme: str) -> ssl.SSLContext | bool:
    """Whom to trust. A plain http address needs nobody, and loading them takes a sixth of a second;
    should it redirect to https after all, nothing is trusted."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if scheme == "http" else True


def _response_format(request: OracleRequest) -> dict[str, Any] | None:
    if request.answer_format == "json_schema" and request.schema is not None:
        schema = {"name": request.schema_name, "schema": dict(request.schema), "strict": True}
        return {"type": "json_schema", "json_schema": schema}
    return {"type": "json_object"} if request.answer_format == "json_object" else None


def _usage(usage: Any) -> Usage | None:
    """Tokens; some servers count reasoning only in the total, some name cached tokens otherwise."""
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    prompt, completion = int(usage.prompt_tokens), int(usage.completion_tokens)
    if prompt < 0 or completion < 0:  # would pay money back into the budget
        return None
    output = max(completion, int(usage.total_tokens or 0) - prompt)
    reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    cached = _detail(usage, "prompt_tokens_details", "cached_tokens")
    cached = cached or int(getattr(usage, "prompt_cache_hit_tokens", None) or 0)
    return Usage(prompt, output, max(min(cached, prompt), 0), max(reasoning, output - completion))


def _detail(usage: Any, group: str, name: str) -> int:
    return int(getattr(getattr(usage, group, None), name, None) or 0)


def _kind(status: int, message: str) -> FailureKind:
    if status == 429 and any(word in message.lower() for word in _NO_BALANCE):
        return "quota"
    if status in _KIND_OF_STATUS:
        return _KIND_OF_STATUS[status]
    return "transient" if status >= 500 else "bad_request"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the server wishes, from seconds or an HTTP date."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value)
    return seconds if 0 <= seconds < float("inf") else None


def _seconds_until(date: str) -> float:
    try:
        return max(parsedate_to_datetime(date).timestamp() - time.time(), 0.0)
    except ValueError:
        return -1.0
