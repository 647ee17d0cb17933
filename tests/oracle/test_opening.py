"""Oracles are opened by provider; what is missing is said before anything is asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.oracle.opening import open_oracle
from distillery_core.oracle.spec import OracleSpec


def opening(spec: OracleSpec, folder: Path | None = None) -> None:
    async def run() -> None:
        async with open_oracle(spec, {}, recording_folder=folder):
            pass

    asyncio.run(run())


def test_unknown_provider_with_a_near_match() -> None:
    with pytest.raises(UserError, match="did you mean 'openai'"):
        opening(OracleSpec(name="o", provider="openia", model="m"))


def test_filter_without_a_recording(tmp_path: Path) -> None:
    spec = OracleSpec(name="o", provider="replay", model="m", recording="plugin")
    with pytest.raises(UserError, match="brings no recorded answers"):
        opening(spec, tmp_path / "recording")
    with pytest.raises(UserError, match="brings no recorded answers"):
        opening(spec)


def test_replay_needs_a_recording_named() -> None:
    with pytest.raises(UserError, match="a recording is needed"):
        opening(OracleSpec(name="o", provider="replay", model="m"))


def test_recording_named_by_path(recording_folder: Path) -> None:
    opening(OracleSpec(name="o", provider="replay", model="m", recording=str(recording_folder)))
