"""The hooks a plugin may implement. Each is called once, when plugins are first needed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("distillery")


@dataclass(frozen=True, slots=True)
class _Provided:
    """Something with a name; `factory` is `module:function`, imported only when it is used."""

    name: str
    factory: str

    def load(self) -> Any:
        """The function that `factory` names."""
        module, _, function = self.factory.partition(":")
        return getattr(importlib.import_module(module), function)


class OracleProvider(_Provided):
    """A way to reach oracles; the factory builds one from its entry and the environment."""


class StudentBackend(_Provided):
    """A way to train students; the factory is called as `student.training.train` is, and leaves
    the same files."""


@hookspec
def distillery_filters() -> Sequence[Path]:  # type: ignore[empty-body]
    """Folders of filters, each holding `v1`, `v2` ...; read as data, nothing in them is run."""


@hookspec
def distillery_oracles() -> Sequence[OracleProvider]:  # type: ignore[empty-body]
    """Oracle providers; an `oracles.yaml` entry names one by `provider`."""


@hookspec
def distillery_students() -> Sequence[StudentBackend]:  # type: ignore[empty-body]
    """Student backends; `training.backend` of a filter names one."""
