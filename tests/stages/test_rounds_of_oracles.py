"""Whole rounds of oracles that are wrong in one way each, over HTTP, on real articles."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.dataset.classes import load_classes
from distillery_core.errors import UserError
from distillery_core.oracle.recording import RecordedAnswer, load_recordings
from distillery_core.stages.calibrate import CalibrationResult, calibrate
from distillery_core.stages.oracles import recording_folder
from distillery_core.stages.project import Project, adopt
from distillery_core.stages.sample import draw, read_sample
from tests.stages.answering import Asked, answering
from tests.stages.conftest import crisis

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases/agents/rounds.yaml").read_text(encoding="utf-8")
)["rounds"]
SIZES = {"n_positive": 20, "n_negative": 20, "n_edge": 10}
GENERIC = "A grave incident with many people affected and emergency services at work."

Scores = dict[str, Any]
Spoil = Callable[[Scores, str, str], Scores]
"""(recorded answer, class of the article, identity of its text) -> the answer that is given."""


def _set(answer: Scores, score: Callable[[float], float]) -> Scores:
    return {
        name: value if name == "reasoning" else min(10.0, max(0.0, score(value)))
        for name, value in answer.items()
    }


def _blind(answer: Scores, _: str, key: str) -> Scores:
    """Scores that have nothing to do with the article, and words that fit every one."""
    digits = iter(hashlib.sha256(key.encode()).digest())
    return _set(answer, lambda _: next(digits) % 11) | {"reasoning": GENERIC}


def _same(answer: Scores, _class: str, _key: str) -> Scores:
    names = [name for name in answer if name != "reasoning"]
    return {name: float(at) for at, name in enumerate(names)} | {"reasoning": ""}


def _copied(answer: Scores, _class: str, _key: str) -> Scores:
    first = next(value for name, value in answer.items() if name != "reasoning")
    return _set(answer, lambda _: first)


def _wrong(share: int, of: int) -> Spoil:
    """Off-topic articles scored high, `share` of `of`."""

    def spoil(answer: Scores, class_name: str, key: str) -> Scores:
        wrong = class_name == "off_topic" and _number(key) % of < share
        return answer if not wrong else _set(answer, lambda value: value + 6)

    return spoil


_order: dict[str, int] = {}


def _number(key: str) -> int:
    """Articles counted as they come, so that a share is met exactly enough."""
    return _order.setdefault(key, len(_order))


ORACLES: Mapping[str, Spoil] = {
    "as_recorded": lambda answer, _class, _key: answer,
    "blind": _blind,
    "blind_and_same": _same,
    "seven": lambda answer, _class, _key: _set(answer, lambda _: 7.0),
    "copies_first": _copied,
    "two_higher": lambda answer, _class, _key: _set(answer, lambda value: value + 2),
    "four_in_five_wrong": _wrong(4, 5),
    "one_in_seven_wrong": _wrong(1, 7),
}


class Rounds:
    """Runs rounds in one project against an oracle that spoils recorded answers."""

    def __init__(self, root: Path, corpus: Path) -> None:
        (root / "filters").mkdir(parents=True)
        self.project, self.corpus = Project(root), corpus
        folder = recording_folder(crisis(self.project))
        assert folder is not None
        self.recorded: Mapping[str, RecordedAnswer] = load_recordings(folder)[0].answers
        self.classes = load_classes(folder / "classes.jsonl", "crisis")
        self.spoil: Spoil = ORACLES["as_recorded"]
        self.reading: dict[str, Any] | None = None
        self.special: Callable[[Asked], dict[str, Any] | str | int | None] = lambda _: None

    def answer(self, asked: Asked) -> dict[str, Any] | str | int:
        """The oracle."""
        if asked.form == "reading":
            empty: dict[str, Any] = {
                **{"root_causes": [], "recommendations": [], "prompt_edits": [], "diagnoses": []},
                **{"lower_to": None, "lower_reason": ""},
            }
            reading = self.reading or {"summary": "read"}
            return reading if "verdict" in reading else empty | reading
        special = self.special(asked)
        if special is not None:
            return special
        found = self.recorded[asked.key]
        return self.spoil(found.answer, self.classes[found.id].name, asked.key)

    def run(self, **options: Any) -> CalibrationResult:
        """One round, with the oracle that is really asked."""
        defaults = {"input": self.corpus, "oracle": "live", "probes": False, **SIZES}
        if "sample" in options:
            defaults = {"oracle": "live", "probes": False}
        options = defaults | {"read": self.reading is not None} | options
        return calibrate(self.project, crisis(self.project), **options)

    def serve(self) -> Any:
        """The oracle as a server."""
        return answering(self.answer, self.project.root)


@pytest.fixture
def rounds(tmp_path: Path, corpus: Path) -> Rounds:
    _order.clear()
    return Rounds(tmp_path / "project", corpus)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """The sample that `SIZES` leads to, drawn once."""
    project = Project(tmp_path_factory.mktemp("drawn"))
    (project.root / "filters").mkdir()
    return draw(project, crisis(project), input=corpus, **SIZES).path


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_round(case: dict[str, Any], rounds: Rounds, drawn: Path) -> None:
    rounds.spoil = ORACLES[case["oracle"]]
    rounds.reading = case.get("reading")
    with rounds.serve():
        judged = rounds.run(sample=drawn).judged
    body = judged.report.body
    because = {line.name: line.reason for line in judged.decision.because}
    assert judged.decision.word == case["verdict"], because
    assert set(case["lines"]) <= set(because)
    assert not [text for text in case.get("says", ()) if text not in body]


def test_a_prompt_that_does_not_send_the_article_is_refused_before_anything_is_asked(
    rounds: Rounds, drawn: Path
) -> None:
    filter = adopt(rounds.project, crisis(rounds.project))
    prompt = filter.folder / "prompt.md.j2"
    prompt.write_text(prompt.read_text(encoding="utf-8").replace("{{ article }}", "..."))
    with rounds.serve() as server:
        with pytest.raises(UserError, match="the prompt does not send the article"):
            rounds.run(sample=drawn)
        assert not server.asked


def test_a_prompt_fitted_to_its_first_sample_passes_and_then_fails_as_overfitted(
    rounds: Rounds,
) -> None:
    with rounds.serve() as server:
        first = rounds.run()
        assert first.judged.decision.word == "PASS"
        known = {article.id for article in read_sample(first.sample)}

        def fitted(answer: Scores, class_name: str, key: str) -> Scores:
            unknown = rounds.recorded[key].id not in known
            wrong = unknown and class_name == "off_topic" and _number(key) % 5 < 2
            return _set(answer, lambda value: value + 6) if wrong else answer

        rounds.spoil = fitted
        second = rounds.run(round="validation")
        fresh = [article.id for article in read_sample(second.sample)]
        assert not known & set(fresh)
        assert len(server.of_form("crisis")) == len(known) + len(fresh)
    assert second.judged.decision.word == "FAIL"
    assert "false_positives_worse" in {line.name for line in second.judged.decision.because}
    assert "The prompt was fitted to its calibration sample" in second.judged.report.body


def test_six_scored_of_ninety_drawn_is_insufficient_evidence(rounds: Rounds) -> None:
    """The pre-filter was made stricter after the sample was drawn: 84 are never asked."""
    project, sizes = rounds.project, {"n_positive": 40, "n_negative": 40, "n_edge": 10}
    filter = adopt(project, crisis(project))
    sample = draw(project, filter, input=rounds.corpus, **sizes).path
    lengths = sorted(len(article.content) for article in read_sample(sample))
    prefilter = project.home(filter) / "prefilter.yaml"
    prefilter.write_text(f"min_chars: {lengths[-6]}\n", encoding="utf-8")
    with rounds.serve() as server:
        judged = rounds.run(sample=sample).judged
    assert len(server.asked) == 6
    names = ("on_topic", "off_topic", "edge")
    counts = [
        sum(judged.front.counts[f"{name}_{what}"] for name in names)
        for what in ("drawn", "blocked", "scored")
    ]
    assert counts == [90, 84, 6]
    assert judged.decision.word == "REVIEW"
    insufficient = {line.name for line in judged.decision.because if line.insufficient}
    assert {"off_topic_false_positives", "on_topic_misses"} <= insufficient
    assert "insufficient evidence" in judged.report.body


def test_an_article_without_a_usable_answer_is_replaced_until_the_class_is_full(
    rounds: Rounds,
) -> None:
    refused: set[str] = set()

    def some_fail(asked: Asked) -> str | None:
        if len(refused) < 6 and asked.form == "crisis":
            refused.add(asked.key)
        return "I would rather not." if asked.key in refused else None

    rounds.special = some_fail
    with rounds.serve():
        result = rounds.run()
        again = rounds.run()
    counts = result.judged.front.counts
    assert result.replaced == len(refused) == 6
    scored = {name: counts[f"{name}_scored"] for name in ("on_topic", "off_topic", "edge")}
    assert scored == {"on_topic": 20, "off_topic": 20, "edge": 10}
    assert counts["on_topic_asked_for"] == 20
    assert sum(counts[f"{name}_drawn"] for name in scored) == 56
    rows = list(read_sample(result.sample))
    assert sum(bool(row.extra["sample"].get("replacement")) for row in rows) == 6
    assert {row.extra["sample"]["seed"] for row in rows} == {2024}
    # Judged again: the same sample, the same replacements, nothing asked.
    assert again.summary.asked == 0
    assert again.judged.report.body == result.judged.report.body


def test_an_oracle_that_answers_nothing_gets_no_replacements(rounds: Rounds) -> None:
    rounds.special = lambda _: "I would rather not."
    with rounds.serve() as server:
        result = rounds.run()
    assert result.replaced == 0
    assert len({asked.key for asked in server.asked}) == 50
    assert result.judged.decision.word == "FAIL"


def test_replacements_end_with_the_corpus(rounds: Rounds, tmp_path: Path) -> None:
    sample = draw(rounds.project, crisis(rounds.project), input=rounds.corpus, **SIZES).path
    small = tmp_path / "small.jsonl"
    small.write_bytes(sample.read_bytes())
    refused: set[str] = set()

    def one_fails(asked: Asked) -> str | None:
        if not refused:
            refused.add(asked.key)
        return "I would rather not." if asked.key in refused else None

    rounds.special = one_fails
    with rounds.serve():
        result = rounds.run(input=small)
    assert (result.replaced, result.summary.labelled) == (0, 49)


def test_numbers_and_seed_can_be_chosen(rounds: Rounds) -> None:
    with rounds.serve():
        result = rounds.run(n_positive=12, n_negative=11, n_edge=3, random_seed=77)
    counts = result.judged.front.counts
    drawn = [counts[f"{name}_asked_for"] for name in ("on_topic", "off_topic", "edge")]
    assert drawn == [12, 11, 3]
    assert result.sample.name == "calibration-77.jsonl"
    assert result.judged.front.numbers["seed"] == 77


def test_second_answers_count_in_later_rounds_too(rounds: Rounds, drawn: Path) -> None:
    """An oracle that contradicts itself does not pass by being asked once."""
    answered: Counter[str] = Counter()

    def fickle(asked: Asked) -> dict[str, Any]:
        answered[asked.key] += 1
        found = rounds.recorded[asked.key].answer
        return found if answered[asked.key] == 1 else _set(found, lambda value: value + 2)

    rounds.special = fickle
    with rounds.serve() as server:
        twice = rounds.run(repeats=2, sample=drawn).judged.decision
        asked = len(server.asked)
        once = rounds.run(sample=drawn).judged.decision
        assert len(server.asked) == asked == 100
    assert "repeatability" in {line.name for line in twice.because}
    assert once.because == twice.because
