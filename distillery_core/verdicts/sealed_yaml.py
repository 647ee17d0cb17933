"""YAML that travels in pull requests: plain data only, nothing that grows or refers back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel

from distillery_core.errors import UserError
from distillery_core.yaml_source import parse_model

Model = TypeVar("Model", bound=BaseModel)

MAX_CHARS = 2_000_000
MAX_DEPTH = 40

_LINE_BREAKS = frozenset("\r\x85\u2028\u2029\ufeff")


class _Dumper(yaml.SafeDumper):
    """Writes what it is given so that reading gives the same again."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quoted where PyYAML would write a line break that its reader folds into a space."""
    style = '"' if _LINE_BREAKS & set(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump_yaml(value: Any) -> str:
    """Plain values as YAML, keys in their order; equal values give equal text."""
    return str(
        yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    )


def parse_untrusted(text: str, model: type[Model], path: Path) -> Model:
    """Validate YAML without tags, aliases, endless nesting or endless length.

    Raises:
        UserError: it is none, or not what the model wants.
    """
    if len(text) > MAX_CHARS:
        raise UserError(f"more than {MAX_CHARS:,} characters of YAML", where=path)
    try:
        _refuse_tricks(text, path)
    except yaml.YAMLError as error:
        raise UserError(f"not valid YAML: {' '.join(str(error).split())}", where=path) from None
    return parse_model(text, model, path)


def _refuse_tricks(text: str, path: Path) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise UserError("YAML aliases are not allowed here", where=path)
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None):
            raise UserError("YAML tags are not allowed here", where=path)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise UserError(f"YAML nested deeper than {MAX_DEPTH} levels", where=path)
