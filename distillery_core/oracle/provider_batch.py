"""Provider batches: many questions in a file, answered within a day, at a lower price.

What a provider's batch is to the rest of the program, whoever the provider is. The protocol is
OpenAI's: a file of requests is uploaded, a batch is made of it, and when it has ended one file
holds the answers and one the failures. https://platform.openai.com/docs/guides/batch
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from distillery_core.errors import UserError
from distillery_core.oracle.client import Oracle, OracleFailure, OracleReply, OracleRequest

ENDPOINT: Final = "/v1/chat/completions"
WINDOW: Final = "24h"
KEY_NAME = "distillery_batch"
"""Where the client-made key stands in a batch's metadata."""

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_QUEUE_FULL = "token_limit_exceeded"
_LINE_BREAKS = {ord(c): f"\\u{ord(c):04x}" for c in "\u0085\u2028\u2029"}
"""JSON leaves these as they are; a server that splits lines at them would cut a request in two."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What a provider takes in one batch: OpenAI 50,000 requests in 200 MB."""

    requests: int = 50_000
    bytes: int = 200_000_000


@dataclass(frozen=True, slots=True)
class RemoteBatch:
    """A batch as the provider reports it; `answered` and `failed` count its requests."""

    id: str
    status: str
    answered: int = 0
    failed: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    error_code: str = ""
    error_message: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status in ENDED

    @property
    def queue_full(self) -> bool:
        """Whether it was refused only because too much is waiting in other batches."""
        return self.status == "failed" and self.error_code == _QUEUE_FULL


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One line of a result file: whose it is and what came of it."""

    custom_id: str
    result: OracleReply | OracleFailure


class BatchOracle(Protocol):
    """An address that takes batches. Every method that goes there raises OracleFailure."""

    async def upload(self, path: Path) -> str:
        """Upload a file of requests; returns its id. Costs nothing."""

    async def create(self, file_id: str, metadata: Mapping[str, str]) -> RemoteBatch:
        """Make a batch of an uploaded file: from here on it is paid for."""

    async def find(self, key: str, since: float) -> list[RemoteBatch]:
        """The batches made since (Unix time) whose metadata holds the key, oldest first."""

    async def retrieve(self, batch_id: str) -> RemoteBatch:
        """How a batch stands."""

    async def cancel(self, batch_id: str) -> RemoteBatch:
        """Ask to end a batch; what was answered until then is kept and paid for."""

    async def download(self, file_id: str, path: Path) -> None:
        """Fetch a result file."""

    def body(self, request: OracleRequest) -> dict[str, Any]:
        """The JSON body of a request."""

    def read(self, line: str) -> BatchLine:
        """Read a line of a result file.

        Raises:
            ValueError: it is not of this protocol.
        """


@runtime_checkable
class TakesBatches(Protocol):
    """An oracle whose provider has batches."""

    def batches(self) -> BatchOracle:
        """Its endpoints."""


def batch_oracle(oracle: Oracle) -> BatchOracle:
    """The batch endpoints of an oracle.

    Raises:
        UserError: it has none.
    """
    if not oracle.spec.batch or not isinstance(oracle, TakesBatches):
        raise UserError(
            "takes no batches",
            where=f"oracle {oracle.spec.name!r}",
            hint="leave out --provider-batch, or set `batch: true` in its entry in oracles.yaml if"
            " its address has OpenAI's endpoints for files and batches",
        )
    return oracle.batches()


def request_line(custom_id: str, body: Mapping[str, Any]) -> bytes:
    """One line of a batch's input file."""
    row = {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}
    return json.dumps(row, ensure_ascii=False).translate(_LINE_BREAKS).encode() + b"\n"
