"""What a report shows, as plain JSON values: dataclasses, enums and arrays turned into data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Set
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from distillery_core.types import Article


def facts(value: Any) -> Any:
    """A value as JSON knows it, deterministic and without any article's text.

    A dataclass becomes its fields and properties, an article its id and title, an enum its name, a
    set a sorted list; NumPy values become numbers and lists, what is not finite becomes None.

    Raises:
        TypeError: something that is none of these.
    """
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Enum | Path):
        return value.name
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return facts(value.tolist())
    return _composed(value)


def _composed(value: Any) -> Any:
    if isinstance(value, Article):
        return {"id": facts(value.id), "title": facts(value.title)}
    if isinstance(value, BaseModel):
        return facts(value.model_dump(mode="json"))
    if isinstance(value, Mapping):
        return {facts(str(name)): facts(child) for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [facts(child) for child in value]
    if isinstance(value, Set):
        return sorted(map(facts, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: facts(getattr(value, name)) for name in _names(type(value))}
    raise TypeError(f"{type(value).__name__} cannot stand in a report's record")


def _names(kind: type) -> list[str]:
    """Fields, then public properties, in the order they are declared."""
    fields = [field.name for field in dataclasses.fields(kind)]
    properties = [
        name
        for base in reversed(kind.__mro__)
        for name, member in vars(base).items()
        if isinstance(member, property | cached_property) and not name.startswith("_")
    ]
    return list(dict.fromkeys([*fields, *properties]))
