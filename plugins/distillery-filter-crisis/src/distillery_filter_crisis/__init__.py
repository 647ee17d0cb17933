"""The filter `crisis` as a plugin: a folder of data, and one hook that says where it lies."""

from __future__ import annotations

from pathlib import Path

from distillery_core.plugins import hookimpl

FILTER = Path(__file__).resolve().parent / "crisis"


@hookimpl
def distillery_filters() -> list[Path]:
    """The folder that holds `v1`."""
    return [FILTER]
