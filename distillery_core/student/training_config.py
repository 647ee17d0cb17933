"""Training configs: YAML in the seed's shape, `filter`, `model` and `training`, read and written.

A config names what a run is asked to do; the command line wins over it, and it wins over the
filter's own `training` section. What came of all three is stored beside the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from distillery_core.errors import UserError
from distillery_core.files import write_text
from distillery_core.filters.filter import Filter
from distillery_core.student.settings import HOW_NOT_WHAT, TrainSettings
from distillery_core.yaml_source import check_values, load_model

CONFIG = "training_config.yaml"
"""The resolved config, beside training_metadata.json."""

_MODEL_KEYS = {"model_name": "name", "max_length": "max_length"}
_MAYBE = {
    name for name, hint in get_type_hints(TrainSettings).items() if type(None) in get_args(hint)
}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class FilterSection(_Section):
    """Which filter is trained; name and version are compared with the filter's own."""

    path: str | None = None
    name: str | None = None
    version: str | float | None = None


class ModelSection(_Section):
    """The base."""

    name: str | None = None
    max_length: int | None = Field(default=None, ge=16)


class _Settings(_Section):
    @model_validator(mode="before")
    @classmethod
    def _auto_is_fit_batch(cls, given: Any) -> Any:
        """`batch_size: auto` is what `--batch-size auto` is; the filter says of how many."""
        if not isinstance(given, dict) or given.get("batch_size") != "auto":
            return given
        if given.get("fit_batch") is False:
            raise ValueError("batch_size is auto and fit_batch is false: leave one of them out")
        rest = {name: value for name, value in given.items() if name != "batch_size"}
        return rest | {"fit_batch": True}

    @field_validator("*", mode="before")
    @classmethod
    def _a_number_is_no_bool(cls, value: Any, field: ValidationInfo) -> Any:
        """pydantic takes `patience: true` for 1."""
        hint = cls.model_fields[field.field_name or ""].annotation
        if isinstance(value, bool) and bool not in get_args(hint):
            raise ValueError(f"{str(value).lower()} is no number, and no word known here")
        return value


def _optional(name: str, settings: Iterable[str]) -> type[BaseModel]:
    """A model with one optional key for each of these settings, under its own name."""
    hints = get_type_hints(TrainSettings)
    fields: dict[str, Any] = {setting: (hints[setting] | None, None) for setting in settings}
    return create_model(name, __base__=_Settings, **fields)


_EVERY = tuple(get_type_hints(TrainSettings))
_IN_A_CONFIG = (
    name
    for name in _EVERY
    if name not in _MODEL_KEYS and name not in HOW_NOT_WHAT - {"checkpoint_every", "keep"}
)
TrainingSection = _optional("TrainingSection", _IN_A_CONFIG)
_Winning = _optional("Winning", _EVERY)


class ConfigFile(_Section):
    """The whole file."""

    filter: FilterSection = FilterSection()
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()  # type: ignore[valid-type]

    def settings(self) -> dict[str, Any]:
        """The training settings that the file gives; `null` is one where a setting may be None
        (`dropout: null` keeps the base's own), and elsewhere stands for not given."""
        given: dict[str, Any] = self.training.model_dump(exclude_unset=True)  # type: ignore[attr-defined]
        given |= {"model_name": self.model.name, "max_length": self.model.max_length}
        return {name: value for name, value in given.items() if value is not None or name in _MAYBE}


def read_config(path: Path) -> ConfigFile:
    """Read a training config.

    Raises:
        UserErrors: every key that is not understood and every bad value, with its line.
    """
    return load_model(path, ConfigFile)


def laid_over(given: Mapping[str, Any], winning: Mapping[str, Any]) -> dict[str, Any]:
    """A config's settings, and those of the command line that win over it; None is not given.

    How a batch is cut is asked for in two ways that exclude each other: who names one takes back
    what the config says of the other. `batch_size: auto` is `fit_batch`, wherever it stands.

    Raises:
        UserErrors: every name in `winning` that is no setting, and every value of another type.
    """
    asked = {name: value for name, value in winning.items() if value is not None}
    won = check_values(asked, _Winning, "training").model_dump(exclude_unset=True)
    if won.get("fit_batch"):
        taken_back: dict[str, Any] = {"micro_batch_tokens": None}
    elif won.keys() & {"batch_size", "micro_batch_tokens"}:
        taken_back = {"fit_batch": False}
    else:
        taken_back = {}
    return {**given, **taken_back, **won}


def refuse_other_filter(config: ConfigFile, filter: Filter, path: Path) -> None:
    """Raise a UserError when a config was written for another filter, or version of it."""
    about = config.filter
    if about.name is not None and about.name != filter.name:
        what = f"filter.name is {about.name!r}, the filter is {filter.label}"
        raise UserError(what, where=path, hint="name the filter that the config is for")
    version = None if about.version is None else str(about.version)
    if version is not None and version != filter.config.filter.version:
        what = f"filter.version is {version}, the filter has {filter.config.filter.version}"
        raise UserError(what, where=path, hint="correct the version in the config")


def write_config(output_dir: Path, filter: Filter, settings: TrainSettings) -> None:
    """Write the resolved config: what `--config` reads to train the same again."""
    given = settings.deciding()
    model = {key: given.pop(name) for name, key in _MODEL_KEYS.items()}
    about = {
        "path": f"filters/{filter.name}/v{filter.version}",
        "name": filter.name,
        "version": filter.config.filter.version,
    }
    text = yaml.safe_dump({"filter": about, "model": model, "training": given}, sort_keys=False)
    head = "# Written by `distillery train`; with `--config` it trains the same again.\n"
    write_text(output_dir / CONFIG, head + text)
