"""The hooks a plugin may implement. Each is called once, when plugins are first needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pluggy

hookspec = pluggy.HookspecMarker("distillery")


@dataclass(frozen=True, slots=True)
class OracleProvider:
    """A way to reach oracles; `factory` is `module:function`, imported only when it is used."""

    name: str
    factory: str


@dataclass(frozen=True, slots=True)
class StudentBackend:
    """A way to train and run students; `factory` is `module:function`, imported when used."""

    name: str
    factory: str


@hookspec
def distillery_filters() -> Sequence[Path]:  # type: ignore[empty-body]
    """Folders of filters, each holding `v1`, `v2` ...; read as data, nothing in them is run."""


@hookspec
def distillery_oracles() -> Sequence[OracleProvider]:  # type: ignore[empty-body]
    """Oracle providers; an `oracles.yaml` entry names one by `provider`."""


@hookspec
def distillery_students() -> Sequence[StudentBackend]:  # type: ignore[empty-body]
    """Student backends; `training.backend` of a filter names one."""
