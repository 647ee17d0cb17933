"""Typed views of what an evaluation's record shows, for plots, documents and cards.

Anything amiss is no view at all.
"""

from __future__ import annotations

from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from distillery_core.reports.record import Record


class _View(BaseModel):
    """Only what a plot needs; a record may hold more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class DimensionErrors(_View):
    """MAE of one dimension: the student's and the baselines'."""

    name: str
    mae: float
    tfidf_mae: float
    constant_mae: float
    bias: float | None = None
    spearman: float | None = None


class Epoch(_View):
    """One epoch of training."""

    number: int
    train_mae: float
    val_mae: float
    kept: bool


class Band(_View):
    """Errors on scores whose label lies in a band such as `3-4`."""

    band: str
    n: int
    mae: float | None = None
    bias: float | None = None


class ReliabilityBin(_View):
    """Scores that were predicted in a band: their mean prediction and mean label; None for none."""

    band: str
    n: int
    predicted: float | None = None
    labelled: float | None = None


class _Reliability(_View):
    bins: tuple[ReliabilityBin, ...] = ()


class Rival(_View):
    """A predictor on the test articles: the model first, then the baselines.

    `low` and `high`: 95 % paired interval of the model's MAE minus a baseline's.
    """

    name: str
    mae: float
    rmse: float | None = None
    spearman: float | None = None
    low: float | None = None
    high: float | None = None


class SplitErrors(_View):
    """Errors on a split of the dataset."""

    name: str
    articles: int
    mae: float
    rmse: float | None = None


class Finding(_View):
    """Articles at or above the operating point: labelled so, predicted so, both."""

    threshold: float
    positives: int
    predicted: int
    found: int
    recall: float | None = None
    precision: float | None = None
    base_rate: float | None = None


class Gain(_View):
    """What `factor` times the labels are expected to change in the MAE of the curve's predictor."""

    factor: int
    labels: int
    change: float
    low: float
    high: float
    cost_usd: float | None = None


class LearningPoint(_View):
    """Training articles, and the test MAE that they give to the predictor of the curve."""

    articles: int
    mae: float = Field(gt=0)


class Learning(_View):
    """The learning curve of a predictor in the student's place; all labels come last in `rows`."""

    predictor: str
    rows: tuple[LearningPoint, ...] = Field(min_length=1)
    gains: tuple[Gain, ...] = ()


class Coverage(_View):
    """The share of a dimension's test labels that intervals hold, with its 95 % interval."""

    dimension: str
    share: float
    low: float
    high: float


class Calibration(_View):
    """What score calibration does on test.

    Attributes:
        kept: whether maps are applied; `reason`: why, or why not.
        rows: validation articles that they were made from.
        before, after: test MAE of the model's own scores, and as deployed.
        low, high: 95 % interval of `after - before`.
        promised: share of labels that an interval is to hold.
    """

    kept: bool
    reason: str
    before: float
    after: float
    articles: int
    rows: int | None = None
    low: float | None = None
    high: float | None = None
    promised: float | None = None
    coverage: tuple[Coverage, ...] = ()


class Speed(_View):
    """How fast the model scores, on which device."""

    device: str
    latency_s: float
    articles_per_s: float


class LargeError(_View):
    """One of the test articles with the largest errors."""

    id: str
    title: str
    labelled: float
    predicted: float
    error: float


class Points(_View):
    """The test articles, 0-10: labels and predictions [articles][dimensions], overall scores."""

    dimensions: tuple[str, ...]
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    labelled: tuple[float, ...]
    predicted: tuple[float, ...]
    errors: tuple[float, ...]
    labels: tuple[tuple[float, ...], ...]
    predictions: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        columns_of_numbers = (self.labelled, self.predicted, self.errors)
        rows = {len(one) for one in (*columns_of_numbers, self.labels, self.predictions)}
        columns = {len(row) for row in (*self.labels, *self.predictions)}
        if len(rows) != 1 or not columns <= {len(self.dimensions)}:
            raise ValueError("labels and predictions do not fit")
        if {len(self.ids), len(self.titles)} - {0, len(self.labels)}:
            raise ValueError("names and articles do not fit")
        return self

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, at: int) -> str:
        """How an article is called: its title, else its id, else its number."""
        if not self.ids:
            return f"article {at + 1}"
        return self.titles[at] or self.ids[at]


def points_of(record: Record) -> Points | None:
    """Predictions against labels; None where the record has none."""
    return _view(record, "points", TypeAdapter(Points))


def dimensions_of(record: Record) -> list[DimensionErrors]:
    """Errors per dimension; none where the record has none."""
    return _view(record, "dimensions", TypeAdapter(list[DimensionErrors])) or []


def epochs_of(record: Record) -> list[Epoch]:
    """The course of training; none where the record has none."""
    return _view(record, "epochs", TypeAdapter(list[Epoch])) or []


def bands_of(record: Record) -> list[Band]:
    """Errors by label band; none where the record has none."""
    return _view(record, "bands", TypeAdapter(list[Band])) or []


def reliability_of(record: Record) -> tuple[ReliabilityBin, ...]:
    """Predictions against labels by band of prediction; none where the record has none."""
    found = _view(record, "reliability", TypeAdapter(_Reliability))
    return found.bins if found else ()


def rivals_of(record: Record) -> list[Rival]:
    """The model and the baselines; none where the record has none."""
    return _view(record, "rivals", TypeAdapter(list[Rival])) or []


def splits_of(record: Record) -> list[SplitErrors]:
    """Errors by split; none where the record has none."""
    return _view(record, "splits", TypeAdapter(list[SplitErrors])) or []


def finding_of(record: Record) -> Finding | None:
    """How well articles of interest are found; None where the record does not say."""
    return _view(record, "finding", TypeAdapter(Finding))


def learning_of(record: Record) -> Learning | None:
    """The curve that says what more labels may bring; None where the record has none."""
    return _view(record, "learning", TypeAdapter(Learning))


def calibration_of(record: Record) -> Calibration | None:
    """What score calibration does; None where the record does not speak of it."""
    return _view(record, "calibration", TypeAdapter(Calibration))


def speed_of(record: Record) -> Speed | None:
    """How fast the model scores; None where the record does not say."""
    return _view(record, "speed", TypeAdapter(Speed))


def worst_of(record: Record) -> list[LargeError]:
    """The test articles with the largest errors; none where the record has none."""
    return _view(record, "worst", TypeAdapter(list[LargeError])) or []


def number_of(record: Record, name: str) -> float | None:
    """A single number that the record shows, such as `noise_floor`."""
    return _view(record, name, TypeAdapter(float))


Shape = TypeVar("Shape")


def _view(record: Record, name: str, shape: TypeAdapter[Shape]) -> Shape | None:
    value: Any = record.shown.get(name)
    if value is None:
        return None
    try:
        return shape.validate_python(value)
    except ValidationError:
        return None
