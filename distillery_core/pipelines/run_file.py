"""Checks a run's YAML before ZenML reads it: ZenML ignores unknown keys and step names silently."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    create_model,
    model_validator,
)

from distillery_core.errors import UserError, UserErrors
from distillery_core.yaml_source import load_model, parse_model

_STRICT = ConfigDict(extra="forbid", frozen=True)


class StepOptions(BaseModel):
    """What a run's YAML may say about one step.

    Parameters are not among it: the pipeline computes them. Neither is `retry`: Ctrl-C would count
    as a failure and start the step again; the oracle client retries single calls.
    """

    model_config = _STRICT

    enable_cache: bool | None = None
    enable_step_logs: bool | None = None
    environment: dict[str, str] | None = None
    experiment_tracker: bool | str | None = None
    extra: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None
    step_operator: bool | str | None = None


class RunFile(BaseModel):
    """The top level of a run's YAML; `parameters` and `steps` are narrowed for each pipeline."""

    model_config = _STRICT

    run_name: str | None = None
    enable_cache: bool | None = None
    enable_step_logs: bool | None = None
    environment: dict[str, str] | None = None
    extra: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None
    tags: list[str] | None = None


def run_file_model(
    name: str, entrypoint: Callable[..., Any], steps: Iterable[str]
) -> type[RunFile]:
    """The schema of one pipeline's YAML, from the signature of its function and its step names."""
    parameters = _parameters_model(name, entrypoint)
    optional = all(not field.is_required() for field in parameters.model_fields.values())
    names: Any = Literal[tuple(steps)]
    return create_model(
        f"{name}_run",
        __base__=RunFile,
        parameters=(parameters, parameters() if optional else ...),
        steps=(dict[names, StepOptions], Field(default_factory=dict)),
    )


def check_run_file(path: Path, model: type[RunFile]) -> RunFile:
    """Validate a run's YAML.

    Raises:
        UserErrors: every mistake with file and line, near matches for unknown names.
    """
    return load_model(path, model)


def merged_run(
    path: Path | None, parameters: Mapping[str, Any], model: type[RunFile]
) -> dict[str, Any]:
    """A run's YAML with these parameters over its own, checked; None changes nothing.

    Raises:
        UserErrors: every mistake, with file and line where it stands in the file.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    run = load_model(path, _overlaid(model, given)) if path else _without_file(given, model)
    return run.model_dump(mode="json", exclude_unset=True)


def _overlaid(model: type[RunFile], given: Mapping[str, Any]) -> type[RunFile]:
    """The schema, told what the command line adds, so that the file need not repeat it."""

    def overlay(values: Any) -> Any:
        own = values.get("parameters") if isinstance(values, dict) else None
        if not isinstance(own, dict | None) or not isinstance(values, dict):
            return values
        return values | {"parameters": {**(own or {}), **given}}

    before: Any = model_validator(mode="before")(overlay)
    return create_model(model.__name__, __base__=model, __validators__={"overlay": before})


def _without_file(given: Mapping[str, Any], model: type[RunFile]) -> RunFile:
    """Check parameters that come from the command line only; lines of a file mean nothing here."""
    try:
        return parse_model(json.dumps({"parameters": given}), model, Path("parameters"))
    except UserErrors as errors:
        raise UserErrors([UserError(error.what) for error in errors.errors]) from None


def _parameters_model(name: str, entrypoint: Callable[..., Any]) -> type[BaseModel]:
    hints = get_type_hints(entrypoint, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(entrypoint).parameters.values():
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    return create_model(f"{name}_parameters", __config__=_STRICT, **fields)
