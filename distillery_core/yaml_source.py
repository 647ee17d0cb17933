"""Reads a YAML file into a pydantic model and reports every mistake with its line."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from distillery_core.errors import UserError, UserErrors

Model = TypeVar("Model", bound=BaseModel)
Location = Sequence[int | str]

_FRIENDLY = {"extra_forbidden": "unknown key", "missing": "required, but not given"}


def load_model(path: Path, model: type[Model]) -> Model:
    """Parse and validate a YAML file.

    Raises:
        UserErrors: every mistake at once, each as `file:line: key: what is wrong`.
    """
    return parse_model(_read(path), model, path)


def parse_model(text: str, model: type[Model], path: Path) -> Model:
    """As `load_model`, from text that came from `path`."""
    root, value = _parse(text, path)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise UserErrors([_located(item, model, root, path) for item in error.errors()]) from None


def check_values(values: Mapping[str, Any], model: type[Model], where: str) -> Model:
    """As `load_model`, from values that a program gave; `where` names them in its mistakes."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserErrors([_mistake(item, model, where) for item in error.errors()]) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError("no such file", where=path) from None
    except IsADirectoryError:
        raise UserError("is a folder, a YAML file is needed", where=path) from None
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 ({error.reason} at byte {error.start})", where=path) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=path) from None


def _parse(text: str, path: Path) -> tuple[yaml.Node | None, Any]:
    """The node tree, which knows the lines, and the plain values; parsed once, by the loader in
    Python, since the one in C has no guard against endless nesting."""
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return None, {}
        _refuse_duplicates(root, path)
        return root, loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"not valid YAML: {error.problem}", where=f"{path}:{line}") from None
    except yaml.YAMLError as error:
        raise UserError(f"not valid YAML: {error}", where=path) from None
    except RecursionError:
        raise UserError("not valid YAML: nested too deeply", where=path) from None
    except ValueError as error:  # what looks like a date or number and is none: 2026-13-45
        raise UserError(f"not valid YAML: {error}", where=path) from None


def _refuse_duplicates(node: yaml.Node, path: Path) -> None:
    """YAML lets a later key silently replace an earlier one; a weight given twice is a mistake."""
    errors = list(_duplicates(node, path, set()))
    if errors:
        raise UserErrors(errors)


def _duplicates(node: yaml.Node, path: Path, visited: set[int]) -> Iterable[UserError]:
    """`visited` holds the nodes looked at: an alias may point many times, or to its own parent."""
    if id(node) in visited:
        return
    visited.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            where = f"{path}:{key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode):  # {{ title }} without quotes is one
                yield UserError("a key must be a text; put quotes round {{ ... }}", where=where)
                continue
            if key.value in seen:
                yield UserError(f"key {key.value!r} is given twice", where=where)
            seen.add(key.value)
            yield from _duplicates(child, path, visited)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _duplicates(child, path, visited)


def _located(item: Any, model: type[BaseModel], root: yaml.Node | None, path: Path) -> UserError:
    return _mistake(item, model, f"{path}:{_line(root, item['loc'])}")


def _mistake(item: Any, model: type[BaseModel], where: str) -> UserError:
    location: Location = item["loc"]
    name = ".".join(str(part) for part in location)
    message = _FRIENDLY.get(item["type"], str(item["msg"]).removeprefix("Value error, "))
    if item["type"] == "literal_error":
        message = f"{item['input']!r} is not {item['ctx']['expected']}"
    if item["type"] == "extra_forbidden":
        message += _did_you_mean(str(location[-1]), _keys_at(model, location[:-1]))
    return UserError(f"{name}: {message}" if name else message, where=where)


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f", did you mean {close[0]!r}?"
    return f" (known here: {', '.join(known)})" if known else ""


def _keys_at(model: Any, location: Location) -> list[str]:
    """The field names of the model that lies at `location` below `model`."""
    for part in location:
        model = _child(model, part)
    found = _model_in(model)
    if found is None:
        return []
    return [field.alias or name for name, field in found.model_fields.items()]


def _child(annotation: Any, part: int | str) -> Any:
    found = _model_in(annotation)
    if found is not None and isinstance(part, str):
        for name, field in found.model_fields.items():
            if part in (name, field.alias):
                return field.annotation
    return annotation


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first pydantic model inside `list[X]`, `dict[str, X]`, `X | None` or X itself."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        found = _model_in(argument)
        if found is not None:
            return found
    return None


def _line(root: yaml.Node | None, location: Location) -> int:
    """The 1-based line of the deepest node on the way to `location` that exists."""
    node, line = root, 1
    for part in location:
        step = _step(node, part)
        if step is None:
            break
        line, node = step
    return line


def _step(node: yaml.Node | None, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, child
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        child = node.value[part]
        return child.start_mark.line + 1, child
    return None
