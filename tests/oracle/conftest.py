"""A ledger, a recording of three texts, and a prompt that asks about them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery_core.fence import fence, normalised_key, prompt_hash_of_messages
from distillery_core.oracle.client import OracleRequest
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.recording import (
    RecordedAnswer,
    Recording,
    RecordingHead,
    load_recordings,
    write_recording,
)

SYSTEM = "Score the article."


def user(content: str) -> str:
    return f"{fence('A title', content)}\nAnswer with JSON."


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / ".distillery" / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def recording_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "recording"
    head = RecordingHead(
        filter="tiny",
        version=1,
        prompt_sha256=prompt_hash_of_messages(SYSTEM, user("")),
        model="tiny-model",
        recorded_at="2026-11",
    )
    texts = {"one": "The first text.", "twin": "THE first text", "two": "The second text."}
    answers = [
        RecordedAnswer(id=name, text_key=normalised_key(text), answer={"a": len(name)})
        for name, text in texts.items()
    ]
    write_recording(folder, head, answers)
    return folder


@pytest.fixture
def recording(recording_folder: Path) -> Recording:
    return load_recordings(recording_folder)[0]


@pytest.fixture
def request_about() -> object:
    """Build a request about a text."""

    def build(content: str, **changes: object) -> OracleRequest:
        values: dict[str, object] = {
            "system": SYSTEM,
            "user": user(content),
            "schema": {"type": "object"},
            "schema_name": "tiny",
            "answer_format": "json_schema",
            "max_output_tokens": 50,
            "temperature": 0.0,
        }
        return OracleRequest(**(values | changes))  # type: ignore[arg-type]

    return build
