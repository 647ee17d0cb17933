"""Opens an oracle: finds its provider, builds it, and gives its connections back at the end."""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from distillery_core.errors import UserError
from distillery_core.oracle.client import Oracle
from distillery_core.oracle.prices import price_of
from distillery_core.oracle.spec import OracleSpec
from distillery_core.plugins.hookspecs import OracleProvider
from distillery_core.plugins.manager import load_plugins

OracleFactory = Callable[[OracleSpec, Mapping[str, str]], Oracle]
"""What a provider's `factory` names: builds an oracle from its entry and the environment."""

RECORDING_FOLDER = "recording"
"""Where a filter keeps its recorded answers, beside its definition."""

FROM_FILTER = "plugin"
"""`recording: plugin` means the `recording/` folder beside the filter that asks."""


@asynccontextmanager
async def open_oracle(
    spec: OracleSpec,
    environ: Mapping[str, str] | None = None,
    *,
    providers: Mapping[str, OracleProvider] | None = None,
    recording_folder: Path | None = None,
) -> AsyncIterator[Oracle]:
    """Open an oracle for the block.

    Args:
        environ: where keys are looked up; default the process's environment.
        providers: by name; default those of all plugins.
        recording_folder: the asking filter's recording, for specs that say `recording: plugin`.

    Raises:
        UserError: unknown provider, key not set, recording missing.
    """
    spec = _with_recording(spec, recording_folder)
    factory = _factory(spec, load_plugins().oracles if providers is None else providers)
    oracle = factory(spec, os.environ if environ is None else environ)
    try:
        yield oracle
    finally:
        await oracle.aclose()


def check_oracle(spec: OracleSpec, environ: Mapping[str, str] | None = None) -> None:
    """See that an oracle could be asked, before long work is done for it; nothing is sent.

    Raises:
        UserError: unknown provider, key not set, price not known.
    """

    async def open_and_close() -> None:
        async with open_oracle(spec, environ):
            price_of(spec)

    asyncio.run(open_and_close())


def _with_recording(spec: OracleSpec, folder: Path | None) -> OracleSpec:
    if spec.recording != FROM_FILTER:
        return spec
    if folder is None or not folder.is_dir():
        raise UserError(
            "this filter brings no recorded answers",
            where=folder or f"oracle {spec.name!r}",
            hint="choose another oracle with --llm, or name a folder in `recording:`",
        )
    return spec.model_copy(update={"recording": str(folder)})


def _factory(spec: OracleSpec, providers: Mapping[str, OracleProvider]) -> OracleFactory:
    provider = providers.get(spec.provider)
    if provider is None:
        close = difflib.get_close_matches(spec.provider, providers, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(providers))}"
        raise UserError(f"no oracle provider {spec.provider!r}", f"oracle {spec.name!r}", hint)
    factory: OracleFactory = provider.load()
    return factory
