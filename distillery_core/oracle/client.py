"""What an oracle is to the rest of the program: a question goes in, a reply or a failure comes out.

A failure is classified here once, so that retrying, stopping and accounting need no second look:

overload     429, 529: ask less often           down         nobody listens at the address
transient    5xx, timeouts, cut replies         not_found    404: address, model or prompt unknown
auth         401, 403: the key                  bad_request  400, 413, 422: this very question
quota        402, 429 "insufficient_quota"      refused      the model declines to answer
not_run      its batch was refused whole,    format       the answer format is not known there
             or cancelled                    expired      its batch ran out of time before it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from distillery_core.oracle.rate_headers import Reported, Unit
from distillery_core.oracle.spec import OracleSpec

AnswerFormat = Literal["json_schema", "json_object", "text"]
FailureKind = Literal[
    "overload",
    "transient",
    "auth",
    "quota",
    "down",
    "not_found",
    "bad_request",
    "refused",
    "format",
    "not_run",
    "expired",
]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them.

    `cached_tokens` are part of `input_tokens`, `reasoning_tokens` part of `output_tokens`.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class OracleRequest:
    """One call. `follow_up` is (the answer before, what is wrong with it) of a repair."""

    system: str
    user: str
    schema: Mapping[str, Any] | None
    schema_name: str
    answer_format: AnswerFormat
    max_output_tokens: int
    temperature: float
    follow_up: tuple[str, str] | None = None

    @property
    def characters(self) -> int:
        """Characters of all messages, close enough to estimate tokens by."""
        more = sum(map(len, self.follow_up)) if self.follow_up else 0
        return len(self.system) + len(self.user) + more

    def messages(self) -> list[dict[str, str]]:
        """The chat messages, the constant part first (providers cache equal beginnings)."""
        messages = [{"role": "system", "content": self.system}] if self.system else []
        messages.append({"role": "user", "content": self.user})
        if self.follow_up is not None:
            answer, complaint = self.follow_up
            messages.append({"role": "assistant", "content": answer})
            messages.append({"role": "user", "content": complaint})
        return messages


@dataclass(frozen=True, slots=True)
class OracleReply:
    """What came back; `usage` is None where the server does not count, `latency_s` in a batch.

    `limits` are the provider's, as its headers report them.
    """

    text: str
    finish_reason: str
    usage: Usage | None
    model: str
    fingerprint: str
    latency_s: float | None
    limits: Mapping[Unit, Reported] = field(default_factory=dict)


class OracleFailure(Exception):
    """A call that brought no answer. The message never holds the key.

    Args:
        maybe_charged: the provider may have worked and charged although nothing arrived.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        maybe_charged: bool = False,
        limits: Mapping[Unit, Reported] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s
        self.maybe_charged = maybe_charged
        self.limits = limits or {}


class Oracle(Protocol):
    """A model that can be asked.

    `identity` is what besides model and request decides the answers (the address, or the digest
    of a recording); it is part of the ledger's key, so that other answers are never mixed in.
    """

    spec: OracleSpec
    identity: str

    async def complete(self, request: OracleRequest) -> OracleReply:
        """Ask once, without retries.

        Raises:
            OracleFailure: classified.
        """

    async def aclose(self) -> None:
        """Give connections back."""
