"""A small filter, samples with made-up scores, and a reader that answers what it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from distillery_core.agents.calibration import RoundInput
from distillery_core.agents.reader import Inquiry, Unanswered
from distillery_core.agents.scored import ScoredArticle, score_sample
from distillery_core.filters.filter import Filter, load_filter
from distillery_core.labelling.run import Label, Setback
from distillery_core.types import Article
from tests.floods import CONFIG, PROMPT, write_floods

REPOSITORY = Path(__file__).resolve().parents[2]

_RULES = "calibration: {on_topic_at: 5.0, severe_at: 7.0}\n"


@pytest.fixture
def make_filter(tmp_path: Path) -> Callable[..., Filter]:
    """Builds the filter, with parts of its config or its prompt exchanged."""

    def make(prompt: str = PROMPT, **changes: str) -> Filter:
        config = CONFIG + _RULES
        for old, new in changes.values() if changes else ():
            assert old in config
            config = config.replace(old, new)
        return load_filter(write_floods(tmp_path, config, prompt))

    return make


@pytest.fixture
def floods(make_filter: Callable[..., Filter]) -> Filter:
    return make_filter()


@pytest.fixture
def project() -> Path:
    """Where the shipped agents/ lie."""
    return REPOSITORY


def article(number: int, class_name: str, text: str | None = None, round: str = "a") -> Article:
    """Each with words of its own, so that explanations can be told apart."""
    words = text or " ".join(f"word{round}{number}x{i}" for i in range(30))
    sample = {"class": class_name, "reason": f"{class_name} by rule", "seed": 1}
    return Article(f"{round}{number}", f"Title {round}{number}", words, {"sample": sample})


Scored = Callable[..., list[ScoredArticle]]


@pytest.fixture
def sample(floods: Filter) -> Scored:
    """20 on-topic, 20 off-topic and 10 edge articles; `score` and `explain` are the oracle."""

    def build(
        score: Callable[[int, str], Sequence[float] | Setback] | None = None,
        explain: Callable[[Article], str | None] | None = None,
        round: str = "a",
        n: tuple[int, int, int] = (20, 20, 10),
        filter: Filter | None = None,
    ) -> list[ScoredArticle]:
        chosen = filter or floods
        classes = ["on_topic"] * n[0] + ["off_topic"] * n[1] + ["edge"] * n[2]
        articles = [article(i, name, round=round) for i, name in enumerate(classes)]
        answers: dict[str, Label | Setback] = {}
        for number, one in enumerate(articles):
            given = (score or good_scores)(number, classes[number])
            reason = (explain or quoting)(one)
            answers[one.id] = (
                given
                if isinstance(given, Setback)
                else Label(dict(zip(chosen.dimensions, given, strict=True)), reason, {})
            )
        return score_sample(chosen, articles, answers)

    return build


def good_scores(number: int, class_name: str) -> Sequence[float]:
    """What a fit oracle answers."""
    shift = (number % 3) / 2
    return {
        "on_topic": (9.0 - shift, 6.0, 5.0 + shift),
        "edge": (5.0, 2.0 + shift, 4.5),
        "off_topic": (shift, 0.0, 0.5),
    }[class_name]


def quoting(one: Article) -> str | None:
    """An explanation with words of the article."""
    return "the article says " + " ".join(one.content.split()[:6])


@pytest.fixture
def given(sample: Scored) -> Callable[..., RoundInput]:
    """A round's input with sound defaults."""

    def build(scored: Sequence[ScoredArticle] | None = None, **changes: Any) -> RoundInput:
        values: dict[str, Any] = {
            "kind": "calibration",
            "scored": sample() if scored is None else scored,
            "oracle": "recorded",
            "seed": 2024,
            "date": "2026-11-22T20:00:00Z",
            "asked_for": {"on_topic": 20, "off_topic": 20, "edge": 10},
            "classes_reviewed": True,
            "classes_from": "reviewed",
            "cost_usd": 0.05,
            "paid": False,
        }
        return RoundInput(**{**values, **changes})

    return build


@dataclass
class ScriptedReader:
    """A reader whose answers are given by the form's name; keeps what it was asked."""

    answers: Mapping[str, Callable[[Any], Mapping[str, Any]] | Mapping[str, Any]]
    name: str = "scripted"
    asked: list[Inquiry] = field(default_factory=list)
    cost_usd: float = 0.0

    def ask(self, inquiry: Inquiry) -> list[Mapping[str, Any] | Unanswered]:
        self.asked.append(inquiry)
        answer = self.answers.get(inquiry.schema_name)
        found: list[Mapping[str, Any] | Unanswered] = []
        for question in inquiry.questions:
            value = answer(question) if callable(answer) else answer
            try:
                if value is None:
                    raise ValueError("no answer")
                inquiry.check(value)
                found.append(value)
            except ValueError as error:
                found.append(Unanswered(str(error)))
        return found


@pytest.fixture
def scripted() -> type[ScriptedReader]:
    return ScriptedReader


@pytest.fixture
def home(floods: Filter) -> Path:
    return floods.folder


@pytest.fixture
def drawn() -> None:
    """Asked for by a test that looks at an evaluation's plots."""


@pytest.fixture
def without_plots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the plots of evaluations, half of their time, unless the test looks at them."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("distillery_core.agents.evaluation.draw", lambda *_: None)
