"""What a training run wrote down: training_history.json and training_metadata.json, checked.

Files of other tools are read too, as long as every epoch has a validation MAE; what they lack is
None here and left out of plots and documents.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.reports.formatting import integer
from distillery_core.reports.markdown import cut, one_line
from distillery_core.reports.record import Record
from distillery_core.student.recorded import frozen_head
from distillery_core.student.selection import Chosen, chosen_by
from distillery_core.student.settings import FrozenHead

NOT_RECORDED = "not recorded"
SOME_ORACLE = "an oracle that is not recorded"

_MAX_BYTES = 50_000_000
_NAME_CHARS = 80
_SEPARATOR = re.compile(r"[/\\]")
_TRAIN_AGAIN = "distillery train writes it"


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class EpochMetrics(_Read):
    """One epoch: metrics by name, `mae`, `rmse`, `loss`, `<dimension>_mae` and others, 0-10."""

    epoch: int
    train: dict[str, float | None] = {}
    val: dict[str, float | None]
    learning_rate: float | None = None
    seconds: float | None = None


class Labeller(_Read):
    """Who gave so many of the dataset's labels; None where their rows do not say."""

    oracle: str | None = None
    rows: int | None = None


class Evaluated(_Read):
    """How many training articles the train metrics of every epoch are of."""

    articles: int | None = None


class TrainingFacts(_Read):
    """training_metadata.json, as far as a reader is told; None for what a record does not hold."""

    filter_name: str | None = None
    filter_version: str | None = None
    dimension_names: tuple[str, ...] = ()
    model_name: str | None = None
    base_is_folder: bool | None = None
    num_parameters: int | None = None
    num_trainable_parameters: int | None = None
    method: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    effective_batch_size: int | None = None
    learning_rate: float | None = None
    max_length: int | None = None
    warmup_steps: int | None = None
    warmup_steps_asked: int | None = None
    total_steps: int | None = None
    train_examples: int | None = None
    val_examples: int | None = None
    train_evaluated_on: Evaluated = Evaluated()
    labelled_by: tuple[Labeller, ...] = ()
    best_epoch: int | None = None
    best_by: str | None = None
    complete: bool | None = None
    articles_cut_share: float | None = None
    device: str | None = None
    precision: str | None = None
    seconds: float | None = None
    tokens: int | None = None
    seed: int | None = None
    finished_at: str | None = None
    settings: dict[str, Any] = {}
    hashes: dict[str, str] = {}
    versions: dict[str, str] = {}

    @property
    def base(self) -> str:
        """The base model as others are told."""
        return base_name(self.model_name, is_folder=self.base_is_folder)

    @property
    def evaluated(self) -> str:
        """How many training articles an error is of; `416 of 2,080` where it is of a fixed part."""
        some, all_ = self.train_evaluated_on.articles, self.train_examples
        return integer(all_) if some in (None, all_) else f"{integer(some)} of {integer(all_)}"

    @property
    def frozen_head(self) -> FrozenHead | None:
        """The head that was fitted on a frozen base; None where the base was trained as well."""
        return frozen_head({"method": self.method, "settings": self.settings})


@dataclass(frozen=True)
class Training:
    """A run's history and facts.

    Attributes:
        kept: number of the epoch whose weights were kept, 1-based.
    """

    epochs: tuple[EpochMetrics, ...]
    facts: TrainingFacts
    kept: int

    @property
    def kept_epoch(self) -> EpochMetrics:
        """The epoch whose weights were kept."""
        return self.epochs[self.kept - 1]

    @property
    def chosen_by(self) -> Chosen:
        """The validation metric that the kept epoch was chosen by."""
        return chosen_by(self.facts.best_by, [epoch.val for epoch in self.epochs])

    @property
    def dimensions(self) -> tuple[str, ...]:
        """As the record names them, else as the history's own keys do."""
        if self.facts.dimension_names:
            return self.facts.dimension_names
        names = (key.removesuffix("_mae") for key in self.epochs[0].val if key.endswith("_mae"))
        return tuple(names)

    def course(self, split: str, metric: str) -> list[float] | None:
        """A metric's value in every epoch, nan where one has none; None where no epoch has it.

        Args:
            split: "train" or "val".
        """
        found = [getattr(epoch, split).get(metric) for epoch in self.epochs]
        if all(value is None for value in found):
            return None
        return [nan if value is None else value for value in found]


@dataclass(frozen=True)
class TrainingReport:
    """What plots, summary and document are made of.

    Attributes:
        name, version: whose model: `crisis`, 1.
        filter: as it is now; None where only files of a run are at hand.
        record: of the evaluation of this very model; None where there is none.
        missing: what is not shown, and why, one sentence each.
    """

    name: str
    version: int
    training: Training
    filter: Filter | None
    record: Record | None
    missing: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """`crisis:v1`."""
        return f"{self.name}:v{self.version}"


class _History(_Read):
    epochs: tuple[EpochMetrics, ...] = Field(min_length=1)


def read_training(history: Path, metadata: Path | None) -> Training:
    """Read a run's two files.

    Args:
        metadata: None where there is none.

    Raises:
        UserError: a file is missing or not understood, or an epoch has no validation MAE.
    """
    epochs = _checked(TypeAdapter(_History), {"epochs": _json(history)}, history).epochs
    for at, epoch in enumerate(epochs, 1):
        if epoch.val.get("mae") is None:
            raise UserError(f"epoch {at} has no val MAE", where=history)
    found = {} if metadata is None else _json(metadata)
    facts = _checked(TypeAdapter(TrainingFacts), found, metadata or history)
    return Training(epochs, facts, _kept(epochs, facts.best_epoch))


def labelled_by(training: Training | None) -> str:
    """Who gave the labels, with their numbers where it was more than one; empty: not recorded."""
    found = training.facts.labelled_by if training else ()
    names = [cut(one_line(one.oracle), _NAME_CHARS) if one.oracle else SOME_ORACLE
             for one in found]  # fmt: skip
    if set(names) <= {SOME_ORACLE}:
        return ""
    if len(names) == 1:
        return names[0]
    several = zip(names, found, strict=True)
    return ", ".join(f"{name} ({integer(one.rows)} labels)" for name, one in several)


def base_name(name: str | None, *, is_folder: bool | None = None) -> str:
    """The base model by its name: a folder of the machine that trained it is nobody's business.

    Args:
        is_folder: as training found it; None where that was not recorded, and its form must tell.
    """
    if not name:
        return NOT_RECORDED
    if is_folder is None:
        is_folder = name.startswith(("/", ".", "~")) or "\\" in name
    return f"{_SEPARATOR.split(name.rstrip('/'))[-1]} (a local folder)" if is_folder else name


def _kept(epochs: tuple[EpochMetrics, ...], recorded: int | None) -> int:
    if recorded is not None and 1 <= recorded <= len(epochs):
        return recorded
    errors = [epoch.val["mae"] or 0.0 for epoch in epochs]
    return errors.index(min(errors)) + 1


def _checked(shape: TypeAdapter[Any], value: Any, path: Path) -> Any:
    try:
        return shape.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{place}: {first['msg']}", where=path, hint=_TRAIN_AGAIN) from None


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UserError("is too large for a training record", where=path)
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("there is no such file", where=path, hint=_TRAIN_AGAIN) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=path) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON: {error}", where=path, hint=_TRAIN_AGAIN) from None
