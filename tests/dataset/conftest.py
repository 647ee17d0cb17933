"""A small real filter, rows for it, and the recorded news articles."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from distillery_core.filters.filter import Filter, load_filter

CONFIG = """
filter:
  name: flood
  version: "1.0"
  description: How much water is where it should not be
scoring:
  dimensions:
    depth: {weight: 0.5, description: "How deep"}
    harm: {weight: 0.5, description: "How bad"}
  tiers:
    - {name: high, at: 6.0}
    - {name: some, at: 3.0}
    - {name: none, at: 0.0}
sampling:
  on_topic:
    keywords: [flood, storm surge, 洪水, น้ำท่วม, बाढ़]
    patterns: ['(?i)\\binundat\\w+']
    exclude: ['(?i)flood of (?:tears|letters)']
  edge:
    keywords: [drizzle]
"""
PROMPT = (
    "Score {{ filter.name }}:\n{{ article }}\nAnswer in JSON with {{ dimensions | join(', ') }}.\n"
)

REPOSITORY = Path(__file__).parents[2]
WORDS = ["river", "bank", "town", "rain", "bridge", "school", "market", "doctor", "engine"]


@pytest.fixture(scope="session", name="prose")
def _prose() -> Callable[..., str]:
    return prose


@pytest.fixture(scope="session", name="labelled_row")
def _labelled_row() -> Callable[..., dict[str, Any]]:
    return labelled_row


@pytest.fixture(scope="session", name="good_rows")
def _good_rows() -> Callable[[int], list[dict[str, Any]]]:
    return good_rows


@pytest.fixture(scope="session", name="provenance")
def _provenance() -> Callable[..., dict[str, Any]]:
    return provenance


@pytest.fixture(scope="session")
def flood(tmp_path_factory: pytest.TempPathFactory) -> Filter:
    """A filter of two dimensions and three tiers, from a folder as a user has it."""
    return make_filter(tmp_path_factory.mktemp("filters"), CONFIG)


def make_filter(parent: Path, config: str) -> Filter:
    """Write and load a filter folder."""
    folder = parent / "flood" / "v1"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "prompt.md.j2").write_text(PROMPT, encoding="utf-8")
    return load_filter(folder)


def prose(seed: int, words: int = 120) -> str:
    """Text that differs from every other seed's text."""
    picked = (
        f"{WORDS[(seed * 7 + k * k) % len(WORDS)]}{(seed * 31 + k) % 997}" for k in range(words)
    )
    return " ".join(picked)


def labelled_row(number: int, scores: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """One labelled row with its own text."""
    return {
        "id": f"a{number}",
        "title": f"Title {number}",
        "content": prose(number),
        "flood_analysis": {"dimensions": dict(scores), "provenance": provenance()},
        **more,
    }


def provenance(**changes: Any) -> dict[str, Any]:
    """What a label row says about its label."""
    return {
        "oracle": "gemini",
        "prompt_sha256": "p" * 64,
        "text_view_sha256": "t" * 64,
        "labelled_at": "2026-11-01T10:00:00Z",
        "cost_usd": 0.001,
        "paid": True,
        **changes,
    }


def good_rows(count: int) -> list[dict[str, Any]]:
    """Rows whose labels pass Dataset QA: spread over the scale, dimensions independent."""
    return [
        labelled_row(n, {"depth": (n * 7 % 21) / 2, "harm": (n * 11 % 20) / 2})
        for n in range(count)
    ]


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Write rows (objects, or raw text and bytes) as lines of a JSONL file."""

    def write(rows: Sequence[Any], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join(_line(row) for row in rows))
        return path

    return write


def _line(row: Any) -> bytes:
    if isinstance(row, bytes):
        return row + b"\n"
    if isinstance(row, str):
        return row.encode() + b"\n"
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


@pytest.fixture(scope="session")
def lee_texts() -> dict[str, str]:
    """The 350 news articles inside the installed gensim package, by id."""
    spec = importlib.util.find_spec("gensim")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("gensim (extra `demo`) is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "test" / "test_data"
    return {
        f"{name}-{number:03d}": line.strip()
        for name, file in (("lee-background", "lee_background.cor"), ("lee", "lee.cor"))
        for number, line in enumerate(
            (folder / file).read_text(encoding="utf-8", errors="replace").splitlines()
        )
    }


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data sets that are too large for the repository."""
    folder = os.environ.get("DISTILLERY_DATA")
    if not folder:
        pytest.skip("DISTILLERY_DATA is not set")
    return Path(folder)
