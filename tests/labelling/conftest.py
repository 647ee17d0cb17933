"""A small filter with recorded answers, a server that replays them, and oracles bound to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from distillery_core.fence import normalised_key
from distillery_core.filters import Filter, load_filter
from distillery_core.oracle.faults import Faults
from distillery_core.oracle.recording import (
    RecordedAnswer,
    RecordingHead,
    load_recordings,
    write_recording,
)
from distillery_core.oracle.replay_server import ReplayServer
from distillery_core.oracle.spec import OracleSpec, Price
from distillery_core.types import Article

CONFIG = """
filter: {name: storm, version: "1.0", scope: {in: storms, out: the rest}}
oracle: {name: recorded, max_output_tokens: 100}
scoring:
  dimensions:
    harm: {weight: 0.5, description: people hurt}
    wind: {weight: 0.5, description: wind speed}
  tiers: [{name: high, at: 5.0}, {name: low, at: 0.0}]
"""
PROMPT = """Score the article for:
{% for name, dimension in dimensions.items() %}
{{ name }}: {{ dimension.description }}
{% endfor %}
{{ article }}
Answer with one JSON object.
"""
PREFILTER = "min_chars: 12\n"
PRICE = Price(input=1.0, output=2.0, cached=0.5, as_of=date(2026, 11, 1))


def article(number: int) -> Article:
    return Article(f"a{number:03}", f"Storm {number}", f"Storm number {number} hit the coast.")


def key_of(number: int) -> str:
    return normalised_key(article(number).content)


def answer(number: int) -> dict[str, Any]:
    url = f"https://example.org/{number}?a={{1,2}}"
    return {"reasoning": f"Report {number}, {url}", "harm": number % 11, "wind": 0.5}


@pytest.fixture
def storm(tmp_path: Path) -> Filter:
    """The filter, with recorded answers for articles 0-199."""
    folder = tmp_path / "project" / "filters" / "storm" / "v1"
    folder.mkdir(parents=True)
    for name, text in (
        ("config.yaml", CONFIG),
        ("prompt.md.j2", PROMPT),
        ("prefilter.yaml", PREFILTER),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    filter = load_filter(folder)
    head = RecordingHead(
        filter="storm",
        version=1,
        prompt_sha256=filter.prompt_sha256,
        model="recorded-model",
        recorded_at="2026-11",
    )
    rows = [
        RecordedAnswer(id=article(n).id, text_key=key_of(n), answer=answer(n)) for n in range(200)
    ]
    write_recording(folder / "recording", head, rows)
    return filter


@pytest.fixture
def project(storm: Filter) -> Path:
    return storm.folder.parents[2]


@pytest.fixture
def serve(storm: Filter) -> Iterator[Callable[..., ReplayServer]]:
    """Start replay servers with faults; all are stopped at the end."""
    with ExitStack() as stack:

        def start(*rules: Any, seed: int = 0, **options: Any) -> ReplayServer:
            recordings = load_recordings(storm.folder / "recording")
            return stack.enter_context(ReplayServer(recordings, Faults(rules, seed), **options))

        yield start


class NoisyServer(ReplayServer):
    """Adds noise and an offset to every score, each from the text and how often it was asked.

    `moved` is added on top once so many requests have come.
    """

    noise: tuple[float, ...] = (0.0,)
    offset: float = 0.0
    moved: float = 0.0
    moves_at: int = 1 << 30

    def _find(self, asked: Any) -> Any:
        recording, answer = super()._find(asked)
        draw = sha256(f"{asked.text_key} {self.requests[asked.text_key]}".encode()).digest()[0]
        change = self.noise[draw % len(self.noise)] + self.offset
        change += self.moved if self.requests.total() > self.moves_at else 0.0
        scores = {
            key: min(max(value + change, 0.0), 10.0) if key != "reasoning" else value
            for key, value in answer.answer.items()
        }
        return recording, answer.model_copy(update={"answer": scores})


@pytest.fixture
def serve_noisy(storm: Filter) -> Iterator[Callable[..., NoisyServer]]:
    """Start servers whose answers vary; all are stopped at the end."""
    with ExitStack() as stack:

        def start(*rules: Any, **how: Any) -> NoisyServer:
            server = NoisyServer(load_recordings(storm.folder / "recording"), Faults(rules))
            vars(server).update(how)
            return stack.enter_context(server)

        yield start


@pytest.fixture
def spec_for() -> Callable[..., OracleSpec]:
    """A paid oracle at a server's address."""

    def build(server: ReplayServer, **changes: Any) -> OracleSpec:
        values: dict[str, Any] = {
            "name": "test",
            "base_url": server.base_url,
            "model": "m",
            "price": PRICE,
            "concurrency": 8,
            "timeout_s": 5,
        }
        return OracleSpec(**values | changes)

    return build


@pytest.fixture
def articles() -> Callable[[int], list[Article]]:
    return lambda count: [article(n) for n in range(count)]


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[[int], Path]:
    """Write the first articles as JSONL."""

    def write(count: int) -> Path:
        path = tmp_path / f"articles-{count}.jsonl"
        rows = [json.dumps(article(n).row() | {"source": "wire"}) for n in range(count)]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def text_key() -> Callable[[int], str]:
    return key_of
