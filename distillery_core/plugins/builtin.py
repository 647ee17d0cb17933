"""Core's own providers. They come through the same hooks as anybody's, so the hooks are used."""

from __future__ import annotations

from distillery_core.plugins import hookimpl
from distillery_core.plugins.hookspecs import OracleProvider, StudentBackend


@hookimpl
def distillery_oracles() -> list[OracleProvider]:
    """Any OpenAI-compatible address, and recorded answers replayed on the loopback."""
    return [
        OracleProvider("openai", "distillery_core.oracle.openai_client:create"),
        OracleProvider("replay", "distillery_core.oracle.replay_client:create"),
    ]


@hookimpl
def distillery_students() -> list[StudentBackend]:
    """Sequence classification models of `transformers`."""
    return [StudentBackend("transformers", "distillery_core.student.training:train")]
