"""Students whose truth is known, as evidence for the real evaluation lines.

Labels, predictions and baselines are drawn from distributions whose error, skill, recall or
precision is set; the scales are found on a large sample once. What a verdict is judged from is then
measured by the product's own code. Baselines that read no text are the real ones, fitted on drawn
training labels; TF-IDF + ridge is a predictor of a set error. Of two choices the one is taken that
makes it harder for the verdict to be right: a bad student's other lines all look good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.random import Generator

from distillery_core.agents.evaluation_evidence import (
    EvaluationEvidence,
    Incumbent,
    Predicted,
    RecordCheck,
)
from distillery_core.dataset.leaks import find_leaks
from distillery_core.dataset.quality import filter_kind
from distillery_core.dataset.split import Split
from distillery_core.filters.filter import Filter, load_filter
from distillery_core.student.measures import baselines
from distillery_core.student.measures.metrics import Array

DIMENSIONS = tuple("abcdef")
TRAIN_SHARE = 8  # articles in train for each one in test; validation is as large as test
_D = len(DIMENSIONS)
_LARGE = 100_000
_HALF_NORMAL = np.sqrt(2 / np.pi)  # E|x| of a standard normal
_SOURCES = 8
_NAMES = np.array([f"source {number}" for number in range(_SOURCES)])
_POSITIVE_SHARE = 0.06
_CUT = 5.0
_MARGIN = 0.3

_CONFIG = """\
filter: {name: simulated, version: "1.0"}
scoring:
  dimensions:
%s
  tiers: [{name: shown, at: 5.0}, {name: none, at: 0.0}]
"""
_PROMPT = "Score {{ dimensions | join(', ') }} from 0 to 10.\n{{ article }}\n"


@lru_cache(maxsize=1)
def simulated_filter() -> Filter:
    """Six dimensions of equal weight; what is at or above 5.0 is of interest."""
    lines = [f"    {name}: {{weight: {1 / _D:.6f}, description: d}}" for name in DIMENSIONS]
    with TemporaryDirectory() as root:
        folder = Path(root) / "simulated" / "v1"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(_CONFIG % "\n".join(lines), encoding="utf-8")
        (folder / "prompt.md.j2").write_text(_PROMPT, encoding="utf-8")
        (folder / "prefilter.yaml").write_text("min_chars: 1\n", encoding="utf-8")
        return load_filter(folder)


def overall_of(scores: Array) -> Array:
    """Overall scores of this filter, which has no rules: the mean, [articles]."""
    values: Array = scores.mean(axis=1)
    return values


@dataclass(frozen=True)
class World:
    """Labels: how far they spread, and how much of that is the news source's.

    `spread` and `source_spread` are standard deviations before rounding to halves and clipping.
    """

    spread: float
    source_spread: float = 0.0

    def draw(self, rng: Generator, n: int, effects: Array) -> tuple[Array, Array]:
        """Labels [n, dimensions] and the source of each article [n]."""
        sources = rng.integers(_SOURCES, size=n)
        article = rng.normal(size=(n, 1)) + rng.normal(size=(n, _D))
        raw = 4.5 + self.spread * np.sqrt(0.5) * article + self.source_spread * effects[sources]
        return np.clip(np.round(raw * 2) / 2, 0, 10).astype(np.float32), sources

    def effects(self, rng: Generator) -> Array:
        """What each source adds, evenly spread and shuffled, [sources, dimensions]."""
        even = np.linspace(-1.5, 1.5, _SOURCES)
        return np.stack([rng.permutation(even) for _ in range(_D)], axis=1)


def noise(rng: Generator, n: int) -> Array:
    """Errors of mean size 1: partly the article's, larger for some articles, [n, dimensions]."""
    size = rng.gamma(4, 0.25, size=(n, 1))
    both = np.sqrt(0.3) * rng.normal(size=(n, 1)) + np.sqrt(0.7) * rng.normal(size=(n, _D))
    errors: Array = size * both / _HALF_NORMAL
    return errors


def clipped(values: Array) -> Array:
    """As a student's predictions are."""
    inside: Array = np.clip(values, 0, 10).astype(np.float32)
    return inside


def mean_error(predictions: Array, labels: Array) -> float:
    """MAE over all scores."""
    return float(np.abs(predictions - labels).mean())


def solve(of: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Where a rising function takes the value, by bisection."""
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if of(middle) < target else (low, middle)
    return (low + high) / 2


@lru_cache(maxsize=64)
def spread_for(constant_mae: float) -> float:
    """The spread of labels for which their median is off by `constant_mae`."""

    def error(spread: float) -> float:
        rng = np.random.default_rng(1)
        labels, _ = World(spread).draw(rng, _LARGE, np.zeros((_SOURCES, _D)))
        return mean_error(np.median(labels, axis=0), labels)

    return solve(error, constant_mae, 0.1, 9.0)


@lru_cache(maxsize=64)
def scale_for(constant_mae: float, target: float) -> float:
    """The scale of `noise` for which a noisy student has this MAE, clipping included."""
    rng = np.random.default_rng(2)
    labels, _ = World(spread_for(constant_mae)).draw(rng, _LARGE, np.zeros((_SOURCES, _D)))
    errors = noise(rng, _LARGE)
    return solve(lambda s: mean_error(clipped(labels + s * errors), labels), target, 0.0, 6.0)


@lru_cache(maxsize=8)
def sourced_world(constant_mae: float, skill: float) -> World:
    """Labels for which the median of the article's source has this skill over the constant."""

    def of(share: float) -> tuple[World, float, float]:
        world = World(np.sqrt(1 - share**2), share)
        rng = np.random.default_rng(3)
        labels, sources = world.draw(rng, _LARGE, world.effects(rng))
        names = _NAMES[sources].tolist()
        by_source = baselines.per_source(labels, names, names)
        return world, mean_error(np.median(labels, axis=0), labels), mean_error(by_source, labels)

    def skill_of(share: float) -> float:
        _, constant, by_source = of(share)
        return 1 - by_source / constant

    share = solve(skill_of, skill, 0.05, 0.95)
    _, constant, _ = of(share)
    # Error is close to linear in the spread; halves and clipping make the rest.
    world = of(share)[0]
    return World(
        world.spread * constant_mae / constant, world.source_spread * constant_mae / constant
    )


def history(rng: Generator, val: Predicted, train_error: float) -> list[dict[str, Any]]:
    """Three epochs that improve; the last one's validation error is measured."""
    last = mean_error(val.predictions, val.labels)
    jitter = 0.3 / np.sqrt(len(val) * _D)
    curve = [last * factor + jitter * rng.normal() for factor in (1.35, 1.12)]
    return [
        {"train": {"mae": train_error * factor, "rmse": 1.0}, "val": {"mae": value, "rmse": 1.0}}
        for factor, value in zip((1.3, 1.1, 1.0), (*curve, last), strict=True)
    ]


def train_error(rng: Generator, n: int, target: float) -> float:
    """The MAE that training measured on its fixed subset of training articles."""
    articles = min(max(TRAIN_SHARE * n // 5, 100), 500)
    return float(np.abs(target * noise(rng, articles)).mean())


@dataclass(frozen=True)
class Drawn:
    """One draw of a dataset with a student's predictions, before it becomes evidence."""

    train: Array
    val: Predicted
    test: Predicted
    tfidf: Array
    train_error: float
    source: Array | None = None
    leaking: int = 0
    incumbent: Array | None = None


def evidence_of(rng: Generator, drawn: Drawn) -> EvaluationEvidence:
    """What `agents.gather` would have collected."""
    test, val = drawn.test, drawn.val
    labelled = overall_of(test.labels)
    every = np.concatenate([overall_of(drawn.train), overall_of(val.labels), labelled])
    kind = filter_kind(simulated_filter(), every)
    incumbent = None
    if drawn.incumbent is not None:
        rows = np.arange(len(test))
        incumbent = Incumbent("simulated:v1", rows, drawn.incumbent, overall_of(drawn.incumbent))
    return EvaluationEvidence(
        dimensions=DIMENSIONS,
        val=val,
        test=test,
        overall=overall_of(test.predictions),
        labelled_overall=labelled,
        constant=baselines.constant(drawn.train, len(test)),
        tfidf=drawn.tfidf,
        tfidf_overall=overall_of(drawn.tfidf),
        source=drawn.source,
        epochs=history(rng, val, drawn.train_error),
        metadata={"train_examples": len(drawn.train)},
        record=RecordCheck(0),
        leaking=drawn.leaking,
        dataset_grade=0,
        kind=kind.kind,
        kind_reason=kind.reason,
        hashes={},
        date="",
        incumbent=incumbent,
    )


def noisy(
    rng: Generator,
    n: int,
    *,
    constant_mae: float,
    error: float,
    tfidf: float,
    gap: float = 0.0,
    incumbent: bool = False,
    leaking: int = 0,
) -> Drawn:
    """Labels plus noise: `error` on test, less by `gap` on validation, and again on train."""
    world, no_effects = World(spread_for(constant_mae)), np.zeros((_SOURCES, _D))
    train, val, test = (world.draw(rng, m, no_effects)[0] for m in (TRAIN_SHARE * n, n, n))

    def student(labels: Array, target: float) -> Array:
        return clipped(labels + scale_for(constant_mae, target) * noise(rng, len(labels)))

    return Drawn(
        train=train,
        val=Predicted(val, student(val, error - gap)),
        test=Predicted(test, student(test, error)),
        tfidf=student(test, tfidf),
        train_error=train_error(rng, n, error - 2 * gap),
        incumbent=student(test, error) if incumbent else None,
        leaking=_leaks(n, leaking),
    )


def _leaks(n: int, leaking: int) -> int:
    """As the leak report counts them, where the first test articles stand in train too."""
    if not leaking:
        return 0
    sizes: tuple[tuple[Split, int], ...] = (("train", TRAIN_SHARE * n), ("val", n), ("test", n))
    splits = [name for name, size in sizes for _ in range(size)]
    groups = np.arange(len(splits))
    groups[(TRAIN_SHARE + 1) * n : (TRAIN_SHARE + 1) * n + leaking] = np.arange(leaking)
    return find_leaks(groups, splits, str).test


@lru_cache(maxsize=1)
def _bias_world() -> tuple[float, float]:
    """Spread of the labels and shift for a student that is off by 1.25, nearly all of it bias."""
    spread = spread_for(2.3)
    rng = np.random.default_rng(4)
    labels, _ = World(spread).draw(rng, _LARGE, np.zeros((_SOURCES, _D)))
    errors = noise(rng, _LARGE)

    def error(shift: float) -> float:
        return mean_error(clipped(labels + shift + 0.2 * errors), labels)

    return spread, solve(error, 1.25, 0.0, 4.0)


def biased(rng: Generator, n: int) -> Drawn:
    """Every score too high by 1.25."""
    spread, shift = _bias_world()
    world, no_effects = World(spread), np.zeros((_SOURCES, _D))
    train, val, test = (world.draw(rng, m, no_effects)[0] for m in (TRAIN_SHARE * n, n, n))

    def student(labels: Array) -> Array:
        return clipped(labels + shift + 0.2 * noise(rng, len(labels)))

    tfidf = clipped(test + scale_for(2.3, 1.8) * noise(rng, n))
    both = Predicted(val, student(val)), Predicted(test, student(test))
    return Drawn(train, *both, tfidf, train_error(rng, n, 1.25))


def _regressed(rng: Generator, labels: Array, spread: float, explained: float) -> Array:
    """What a student that explains this share of the labels' variance predicts at best."""
    own = spread * np.sqrt(explained * (1 - explained)) * rng.normal(size=labels.shape)
    return clipped(4.5 + explained * (labels - 4.5) + own)


@lru_cache(maxsize=1)
def _explained(constant_mae: float, skill: float) -> float:
    """The share of variance that gives this skill; for normal labels 1 - (1 - skill)^2."""
    spread = spread_for(constant_mae)
    rng = np.random.default_rng(5)
    labels, _ = World(spread).draw(rng, _LARGE, np.zeros((_SOURCES, _D)))

    def skill_of(share: float) -> float:
        student = _regressed(np.random.default_rng(6), labels, spread, share)
        return 1 - mean_error(student, labels) / mean_error(np.median(labels, axis=0), labels)

    return solve(skill_of, skill, 0.0, 0.5)


def shrunk(rng: Generator, n: int) -> Drawn:
    """Keeps to the middle: the best a student of skill 0.05 can do, on labels that vary little, so
    that its MAE of 0.90 is a good one."""
    constant_mae = 0.95
    spread, explained = spread_for(constant_mae), _explained(constant_mae, 0.05)
    world, no_effects = World(spread), np.zeros((_SOURCES, _D))
    train, val, test = (world.draw(rng, m, no_effects)[0] for m in (TRAIN_SHARE * n, n, n))
    tfidf = clipped(baselines.constant(train, n) + 0.05 * rng.normal(size=test.shape))
    both = (Predicted(one, _regressed(rng, one, spread, explained)) for one in (val, test))
    return Drawn(train, *both, tfidf, train_error(rng, n, 0.88))


def constant(rng: Generator, n: int) -> Drawn:
    """The median of the training labels for every article; its MAE of 0.95 is a good one."""
    world, no_effects = World(spread_for(0.95)), np.zeros((_SOURCES, _D))
    train, val, test = (world.draw(rng, m, no_effects)[0] for m in (TRAIN_SHARE * n, n, n))
    tfidf = clipped(test + scale_for(0.95, 1.2) * noise(rng, n))
    student = baselines.constant(train, n)
    return Drawn(
        train, Predicted(val, student), Predicted(test, student), tfidf, train_error(rng, n, 0.9)
    )


def copied_source(rng: Generator, n: int, skill: float) -> Drawn:
    """The median of the article's source for every article: it reads nothing."""
    world = sourced_world(1.2, skill)
    effects = world.effects(rng)
    (train, train_of), (val, val_of), (test, test_of) = (
        world.draw(rng, m, effects) for m in (TRAIN_SHARE * n, n, n)
    )

    def student(of: Array) -> Array:
        return baselines.per_source(train, _NAMES[train_of].tolist(), _NAMES[of].tolist())

    tfidf = clipped(baselines.constant(train, n) + 0.05 * rng.normal(size=test.shape))
    by_source = student(test_of)
    both = Predicted(val, student(val_of)), Predicted(test, by_source)
    return Drawn(train, *both, tfidf, train_error(rng, n, 0.85), source=by_source)


def needle(rng: Generator, n: int, *, recall: float, precision: float, missed_from: float) -> Drawn:
    """Rare content, 6 % of all articles: what is missed scores from `missed_from` up to the cut."""
    false_alarms = _POSITIVE_SHARE * recall * (1 - precision) / precision / (1 - _POSITIVE_SHARE)

    def labels(m: int) -> Array:
        rare = rng.random(m) < _POSITIVE_SHARE
        low = np.where(rng.random(m) < 0.3, 0.0, rng.uniform(0.0, _CUT - 1.0, size=m))
        level = np.where(rare, rng.uniform(_CUT + 0.5, 8.5, size=m), low)
        shown = np.round((level[:, None] + rng.normal(scale=0.5, size=(m, _D))) * 2) / 2
        return np.where(level[:, None] == 0, 0.0, np.clip(shown, 0, 10)).astype(np.float32)

    def student(true: Array) -> Array:
        overall = overall_of(true)
        positive, m = overall >= _CUT, len(true)
        found = np.maximum(overall + rng.normal(scale=0.7, size=m), _CUT + _MARGIN)
        missed = rng.uniform(missed_from, _CUT - _MARGIN, size=m)
        low = np.minimum(overall + np.abs(rng.normal(scale=0.6, size=m)), _CUT - _MARGIN)
        alarm = rng.random(m) < false_alarms
        hit = rng.random(m) < recall
        wanted = np.where(
            positive, np.where(hit, found, missed), np.where(alarm, _CUT + _MARGIN, low)
        )
        own = rng.normal(scale=0.4, size=true.shape)
        return clipped(wanted[:, None] + own - own.mean(axis=1, keepdims=True))

    train, val, test = (labels(m) for m in (TRAIN_SHARE * n, n, n))
    tfidf = clipped(0.3 * test + rng.uniform(0, 4, size=(n, 1)))
    both = Predicted(val, student(val)), Predicted(test, student(test))
    return Drawn(train, *both, tfidf, train_error(rng, n, mean_error(both[0].predictions, val)))


@dataclass(frozen=True)
class Student:
    """A kind of simulated student: what is true of it, and how one is drawn."""

    name: str
    good: bool
    truth: str
    draw: Callable[[Generator, int], Drawn]


STUDENTS = (
    Student(
        "good",
        True,
        "MAE 0.85, skill 0.45, gaps 0.05",
        lambda rng, n: noisy(rng, n, constant_mae=0.85 / 0.55, error=0.85, tfidf=1.15, gap=0.05),
    ),
    Student(
        "good, beside an equally good version in use",
        True,
        "the same, and the incumbent has the same true error",
        lambda rng, n: noisy(
            rng, n, constant_mae=0.85 / 0.55, error=0.85, tfidf=1.15, gap=0.05, incumbent=True
        ),
    ),
    Student(
        "good needle",
        True,
        "recall 0.75, precision 0.75",
        lambda rng, n: needle(rng, n, recall=0.75, precision=0.75, missed_from=2.0),
    ),
    Student(
        "noise",
        False,
        "MAE 1.25, skill 0.46",
        lambda rng, n: noisy(rng, n, constant_mae=2.3, error=1.25, tfidf=1.8),
    ),
    Student("bias", False, "MAE 1.25, all scores too high", biased),
    Student("shrinkage", False, "skill 0.05 at MAE 0.90", shrunk),
    Student("constant", False, "skill 0 at MAE 0.95", constant),
    Student(
        "copy of the source's median",
        False,
        "skill 0.05",
        lambda rng, n: copied_source(rng, n, 0.05),
    ),
    Student(
        "copy of a telling source's median",
        False,
        "skill 0.30 at MAE 0.84, reads nothing",
        lambda rng, n: copied_source(rng, n, 0.30),
    ),
    Student(
        "leak",
        False,
        "MAE 0.50, one test article stands in train",
        lambda rng, n: noisy(rng, n, constant_mae=1.545, error=0.5, tfidf=1.15, leaking=1),
    ),
    Student(
        "needle that misses",
        False,
        "recall 0.35, precision 0.80",
        lambda rng, n: needle(rng, n, recall=0.35, precision=0.80, missed_from=4.0),
    ),
)
