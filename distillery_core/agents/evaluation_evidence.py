"""What a model is judged from, as plain values: predictions, baselines, history, records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from distillery_core.agents.people import ScoresByPeople
from distillery_core.student.measures.metrics import Array
from distillery_core.student.measures.score_calibration import ScoreCalibration

RecordGrade = Literal[0, 1, 2]


@dataclass(frozen=True)
class Predicted:
    """One split with the model's predictions.

    Attributes:
        labels, predictions: float [articles, dimensions], 0-10; the predictions are those that
            get deployed (score calibration applied where the model has one).
        uncalibrated: the same checkpoint's own scores; None where there is no calibration.
        groups: the group of near-duplicates of each article, which the bootstrap draws whole;
            None: each article stands for itself.
    """

    labels: Array
    predictions: Array
    uncalibrated: Array | None = None
    groups: tuple[str, ...] | None = None

    @property
    def raw(self) -> Array:
        """Predictions before score calibration."""
        return self.predictions if self.uncalibrated is None else self.uncalibrated

    def take(self, rows: Array) -> Predicted:
        """These articles only."""
        uncalibrated, groups = self.uncalibrated, self.groups
        return Predicted(
            self.labels[rows],
            self.predictions[rows],
            None if uncalibrated is None else uncalibrated[rows],
            None if groups is None else tuple(groups[int(row)] for row in rows),
        )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class TestArticle:
    """A test article as the report names it.

    Attributes:
        labelled, predicted: overall scores, 0-10.
        error: mean absolute error over the dimensions.
        content: its text, of which the report shows an excerpt at most.
        labels, predictions: in the dimensions' order.
    """

    __test__ = False  # no test class, whatever its name

    id: str
    title: str
    labelled: float
    predicted: float
    error: float
    content: str = ""
    labels: tuple[float, ...] = ()
    predictions: tuple[float, ...] = ()


@dataclass(frozen=True)
class Baseline:
    """A simple predictor on the test split, [articles, dimensions]."""

    name: str
    predictions: Array


@dataclass(frozen=True)
class LearningPoint:
    """What a predictor trained on some of the training articles does on test.

    `errors` is the mean absolute error of each test article, [articles].
    """

    articles: int
    errors: Array


@dataclass(frozen=True)
class LearningCurve:
    """One kind of predictor on growing shares of the same training articles.

    Attributes:
        predictor: what was trained.
        points: from the smallest share to all of them.
        labels: labelled articles of the whole dataset, what "twice the labels" is twice of.
        label_cost_usd: what one label cost on average, where the labels say.
        own_base: whether it reads articles with the student's own base.
    """

    predictor: str
    points: tuple[LearningPoint, ...]
    labels: int
    label_cost_usd: float | None = None
    own_base: bool = False


@dataclass(frozen=True)
class RecordCheck:
    """Whether the training record fits model, data and filter.

    `grade`: 0 all agree, 1 model name and parameter count disagree, 2 a hash differs.
    """

    grade: RecordGrade
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tripwires:
    """Results that cannot be what they claim to be (`tripwires.py`).

    Attributes:
        fired: a sentence for each that was found.
        unknown: what could not be checked.
    """

    fired: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def grade(self) -> int:
        """0 nothing found, 1 something could not be checked, 2 found."""
        return 2 if self.fired else 1 if self.unknown else 0


@dataclass(frozen=True)
class Speed:
    """Measured on this machine; seconds and articles a second."""

    device: str
    latency_s: float
    articles_per_s: float
    threads: int | None = None


@dataclass(frozen=True)
class Incumbent:
    """The version in use now, on test articles that neither version was trained on.

    `rows` (indices) picks them out of the test split; `predictions` is [rows, dimensions],
    `overall` its overall scores after rules, [rows].
    """

    name: str
    rows: Array
    predictions: Array
    overall: Array


@dataclass(frozen=True)
class EvaluationEvidence:
    """Everything a verdict on a model is made from.

    Attributes:
        val, test: splits with predictions.
        overall, labelled_overall: overall scores after rules of the test articles, [articles].
        constant: the per-dimension median of the training labels, on test.
        tfidf: TF-IDF + ridge trained on the same split, on test.
        tfidf_overall: its overall scores after rules, [articles].
        source: the median of each article's news source, on test; None where fewer than two
            sources are known.
        further: more baselines, printed only.
        no_incumbent: why there is none to compare with.
        learning: what shares of the training labels give; None where it was not measured.
        epochs: training_history.json.
        metadata: training_metadata.json.
        tripwires: results that cannot be what they claim to be.
        leaking: test articles found in train or validation, recomputed from the files.
        leak_note: what that was compared with.
        dataset_grade: 0 PASS, 1 REVIEW, 2 FAIL of the dataset's QA.
        dataset_lines: titles of its lines that are not in order.
        kind, kind_reason: general or needle, and why.
        noise_floor: mean absolute difference per dimension between repeated oracle answers.
        articles: the test articles with their overall scores.
        hashes: evidence for the gate.
        predictions_sha256: of the test predictions, by which a copied result shows.
        by_people: people's scores of the test articles; shown, no line of the table rests on them.
        calibration: what the model folder holds to calibrate its scores; None: nothing.
    """

    dimensions: tuple[str, ...]
    val: Predicted
    test: Predicted
    overall: Array
    labelled_overall: Array
    constant: Array
    tfidf: Array
    tfidf_overall: Array
    epochs: Sequence[Mapping[str, Any]]
    metadata: Mapping[str, Any]
    record: RecordCheck
    leaking: int
    dataset_grade: int
    kind: Literal["general", "needle"]
    kind_reason: str
    hashes: Mapping[str, str]
    date: str
    predictions_sha256: str = ""
    leak_note: str = ""
    dataset_lines: tuple[str, ...] = ()
    noise_floor: Mapping[str, float] | None = None
    articles: tuple[TestArticle, ...] = ()
    source: Array | None = None
    further: tuple[Baseline, ...] = ()
    speed: Speed | None = None
    incumbent: Incumbent | None = None
    no_incumbent: str = "no incumbent version"
    learning: LearningCurve | None = None
    tripwires: Tripwires = Tripwires()
    size_bytes: int | None = None
    warnings: tuple[str, ...] = field(default=())
    by_people: ScoresByPeople | None = None
    calibration: ScoreCalibration | None = None

    @property
    def kept_epoch(self) -> int:
        """The epoch (1-based) whose checkpoint was kept; by the record, which may have chosen by
        another metric, else the lowest validation MAE."""
        errors, recorded = self.val_errors, self.metadata.get("best_epoch")
        if isinstance(recorded, int) and 1 <= recorded <= len(errors):
            return recorded
        return errors.index(min(errors)) + 1

    @property
    def val_errors(self) -> list[float]:
        """Validation MAE by epoch."""
        return [float(epoch["val"]["mae"]) for epoch in self.epochs]

    @property
    def train_errors(self) -> list[float]:
        """Train MAE by epoch, in evaluation mode."""
        return [float(epoch["train"]["mae"]) for epoch in self.epochs]
