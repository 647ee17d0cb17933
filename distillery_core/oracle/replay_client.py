"""Recorded answers as an oracle: a replay server and the same `openai` client as for a paid one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from distillery_core.errors import UserError
from distillery_core.oracle.client import OracleReply, OracleRequest
from distillery_core.oracle.openai_client import OpenAIOracle
from distillery_core.oracle.provider_batch import BatchOracle
from distillery_core.oracle.recording import load_recordings
from distillery_core.oracle.replay_server import ReplayServer
from distillery_core.oracle.spec import OracleSpec

_KEY = "replay"


def create(spec: OracleSpec, environ: Mapping[str, str]) -> ReplayOracle:
    """The provider's factory.

    Raises:
        UserError: no recording is named, or it cannot be read.
    """
    if spec.recording is None:
        hint = "add `recording: FOLDER` or `recording: plugin` to its entry in oracles.yaml"
        raise UserError("a recording is needed", where=f"oracle {spec.name!r}", hint=hint)
    recordings = load_recordings(Path(spec.recording))
    return ReplayOracle(spec, ReplayServer(recordings))


class ReplayOracle:
    """Owns the server and the client that talks to it."""

    def __init__(self, spec: OracleSpec, server: ReplayServer) -> None:
        self.server = server.__enter__()
        digests = sorted(recording.digest for recording in server.recordings)
        self._client = OpenAIOracle(
            spec, server.base_url, _KEY, identity=f"recording:{','.join(digests)}"
        )
        self.spec = spec
        self.identity = self._client.identity

    async def complete(self, request: OracleRequest) -> OracleReply:
        """Ask the replay server once. Raises OracleFailure."""
        return await self._client.complete(request)

    def batches(self) -> BatchOracle:
        """The replay server's endpoints for files and batches."""
        return self._client.batches()

    async def aclose(self) -> None:
        """Close the client, then the server."""
        await self._client.aclose()
        self.server.__exit__(None, None, None)
