"""The plugin as core meets it: entry point, filter, recording, corpus."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from distillery_filter_crisis import FILTER, corpus, declare

from distillery_core.errors import UserError
from distillery_core.fence import fence, fence_content, normalised_key
from distillery_core.filters import Filter, load_filter, resolve_filter
from distillery_core.filters.answers import validate_answer
from distillery_core.filters.cases import run_cases
from distillery_core.filters.score_rules import overall
from distillery_core.filters.text_view import text_view
from distillery_core.oracle.recording import load_recordings
from distillery_core.plugins.manager import load_plugins
from distillery_core.types import Article

RECORDING = FILTER / "v1" / "recording"


@pytest.fixture(scope="module")
def crisis() -> Filter:
    return load_filter(FILTER / "v1")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    pytest.importorskip("gensim", reason="the texts come with gensim (extra demo)")
    return list(corpus.articles())


def _jsonl(name: str) -> Iterator[dict[str, Any]]:
    with (RECORDING / name).open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def test_core_finds_the_filter_through_the_entry_point(tmp_path: Path) -> None:
    assert [found.folder for found in load_plugins().filters if found.folder == FILTER]
    found = resolve_filter("crisis", tmp_path)
    assert found.label == "crisis:v1"
    assert found.origin.startswith("plugin distillery-filter-crisis")


def test_dimensions_and_weights(crisis: Filter) -> None:
    assert dict(zip(crisis.dimensions, crisis.weights, strict=True)) == {
        "human_harm": 0.25,
        "immediacy": 0.20,
        "scale": 0.20,
        "conflict": 0.10,
        "response": 0.10,
        "economic_damage": 0.15,
    }


def test_cases_hold(crisis: Filter) -> None:
    run = run_cases(crisis)
    assert run.failures == ()
    assert (run.prefilter, run.scores) == (10, 10)


def test_recording_is_declared_for_the_present_prompt(crisis: Filter) -> None:
    hint = "read the answers against the prompt, then: python -m distillery_filter_crisis.declare"
    assert declare.declared() == crisis.prompt_sha256 == declare.present(), hint


def test_declaring_writes_the_present_hash_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (RECORDING / "recording.yaml").read_text(encoding="utf-8")
    stale = before.replace(declare.present(), "0" * 64)
    (tmp_path / "recording.yaml").write_text(stale, encoding="utf-8")
    monkeypatch.setattr(declare, "RECORDING", tmp_path)
    assert declare.declared() == "0" * 64
    assert declare.declare() == declare.present()
    assert (tmp_path / "recording.yaml").read_text(encoding="utf-8") == before


def test_recording_loads_as_the_replay_server_loads_it(crisis: Filter) -> None:
    (recording,) = load_recordings(RECORDING)
    assert (recording.head.filter, recording.head.version) == ("crisis", 1)
    assert recording.head.prompt_sha256 == crisis.prompt_sha256
    assert len(recording.answers) == 343  # of 350, seven pairs of texts are identical
    assert recording.answers[_key_of("lee-background-000")].id == "lee-background-000"


def _key_of(article_id: str) -> str:
    return str(next(row["text_key"] for row in _jsonl("answers.jsonl") if row["id"] == article_id))


def test_recording_names_its_corpus() -> None:
    head = yaml.safe_load((RECORDING / "recording.yaml").read_text(encoding="utf-8"))
    module, name = head["corpus"].split(":")
    assert (module, name) == (corpus.__name__, corpus.articles.__name__)


@pytest.mark.parametrize(("name", "count"), [("answers.jsonl", 350), ("repeat_answers.jsonl", 60)])
def test_every_recorded_answer_is_valid(crisis: Filter, name: str, count: int) -> None:
    answers = [validate_answer(crisis, row["answer"]) for row in _jsonl(name)]
    assert len(answers) == count
    assert all(answer.reasoning for answer in answers)


def test_classes_cover_the_recording() -> None:
    classes = list(_jsonl("classes.jsonl"))
    assert {row["id"] for row in classes} == {row["id"] for row in _jsonl("answers.jsonl")}
    counted = Counter(row["class"] for row in classes)
    assert counted == {"on_topic": 171, "off_topic": 101, "edge": 78}
    assert all(row["reason"] for row in classes)


def test_texts_are_found_by_their_keys(crisis: Filter, rows: list[dict[str, Any]]) -> None:
    """Through view and fence, exactly as the replay server sees an article."""
    keys = {row["id"]: row["text_key"] for row in _jsonl("answers.jsonl")}
    assert [row["id"] for row in rows] == list(keys)
    for row in rows:
        view = text_view(row["title"], row["content"], crisis.config.text)
        _, content = fence_content(fence(view.title, view.content))
        assert normalised_key(content) == keys[row["id"]]


def test_prefilter_blocks_no_article_of_the_corpus(
    crisis: Filter, rows: list[dict[str, Any]]
) -> None:
    articles = [Article(r["id"], r["title"], r["content"], {"source": r["source"]}) for r in rows]
    assert [a.id for a in articles if crisis.prefilter.check(a)] == []


def test_cuts_fit_the_recorded_answers(crisis: Filter, rows: list[dict[str, Any]]) -> None:
    """7 % of the off-topic articles at or above the cut, 9 % of the on-topic ones below it."""
    values = _overall_by_class(crisis, rows)
    cut, severe = crisis.config.calibration.on_topic_at, crisis.config.calibration.severe_at
    off, on = values["off_topic"], values["on_topic"]
    assert sum(value >= cut for value in off) == 7
    assert sum(value < cut for value in on) == 16
    assert sum(value >= severe for value in off) == 0
    assert sum(value >= severe for value in on) == 55


def _overall_by_class(crisis: Filter, rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    classes = {row["id"]: row["class"] for row in _jsonl("classes.jsonl")}
    texts = {row["id"]: f"{row['title']}\n{row['content']}" for row in rows}
    values: dict[str, list[float]] = {}
    for row in _jsonl("answers.jsonl"):
        scores = validate_answer(crisis, row["answer"]).scores
        value = overall(crisis, scores, texts[row["id"]]).value
        values.setdefault(classes[row["id"]], []).append(value)
    return values


def test_worked_examples_are_not_from_the_corpus(
    crisis: Filter, rows: list[dict[str, Any]]
) -> None:
    keys = {normalised_key(row["content"]) for row in rows}
    examples = crisis.config.filter.examples
    assert len(examples) >= 3
    assert not keys & {normalised_key(example.text) for example in examples}


def test_gensim_is_looked_up_and_not_imported(rows: list[dict[str, Any]]) -> None:
    import subprocess

    code = (
        "import sys; from distillery_filter_crisis.corpus import articles;"
        "print(len(list(articles())), 'gensim' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(rows)), "False"]


def test_missing_gensim_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install \"distillery-core\[demo\]\""):
        list(corpus.articles())


def test_other_texts_are_refused(tmp_path: Path) -> None:
    for name, _ in corpus.FILES.values():
        (tmp_path / name).write_text("Another text.\n", encoding="utf-8")
    with pytest.raises(UserError, match="not the texts that were recorded"):
        corpus.read_texts(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        corpus.read_texts(tmp_path / "nowhere")
