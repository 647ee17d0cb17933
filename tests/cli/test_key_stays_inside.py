"""A key that servers throw back is in no output: streams, ledger, labels, reports, logs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from distillery_core.fence import fence_content, normalised_key
from distillery_core.filters import load_filter
from distillery_core.labelling.run import question_of
from distillery_core.oracle.faults import Fault, Faults
from distillery_core.oracle.recording import (
    RecordedAnswer,
    RecordingHead,
    load_recordings,
    write_recording,
)
from distillery_core.oracle.replay_server import ReplayServer
from distillery_core.types import Article

KEY = "sk-canary-7731-never-show"
ORACLES = """\
oracles:
  local:
    base_url: {address}
    model: m
    free: true
    api_key_env: LOCAL_KEY
    concurrency: 4
    timeout_s: 5
"""
ROWS = 12

Run = Callable[..., Any]


def article(number: int) -> Article:
    sample = {"class": "on_topic", "round": "calibration", "seed": 1, "reason": "a test"}
    return Article(f"a{number}", f"Title {number}", f"Text number {number}. " * 20,
                   {"sample": sample})  # fmt: skip


@pytest.fixture
def recording(project: Path) -> Path:
    """Answers to the sample of a shipped filter; the sample lies in `sample.jsonl`."""
    filter = load_filter(project / "filters" / "uplifting" / "v1")
    head = RecordingHead(filter=filter.name, version=filter.version, model="recorded",
                         prompt_sha256=filter.prompt_sha256, recorded_at="2026-11")  # fmt: skip
    answers = []
    for number in range(ROWS):
        text = fence_content(question_of(filter, article(number)).user)[1]
        scores = {"reasoning": "as said", **dict.fromkeys(filter.dimensions, 3)}
        answers.append(
            RecordedAnswer(id=f"a{number}", text_key=normalised_key(text), answer=scores)
        )
    folder = project.parent / "recording"
    write_recording(folder, head, answers)
    rows = (json.dumps(article(number).row()) for number in range(ROWS))
    (project / "sample.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return folder


def echoing(status: int) -> Fault:
    """An error whose body quotes the request's header."""
    message = f"refused: request had Authorization: Bearer {KEY}"
    return Fault("status", status=status, message=message, share=0.4)


@contextmanager
def serving(recording: Path, *rules: Fault, key: str | None = KEY) -> Iterator[ReplayServer]:
    with ReplayServer(load_recordings(recording), Faults(rules, 2), key=key) as server:
        yield server


@pytest.mark.parametrize(
    ("rules", "key"),
    [
        ((), "another-key"),
        ((echoing(500), Fault("echo_key", share=0.5)), KEY),
        ((echoing(400), Fault("cut", share=0.3), Fault("refusal", share=0.5)), KEY),
    ],
    ids=["401", "500 and echo", "400, cut and refused"],
)
def test_key_is_in_no_output(
    project: Path, recording: Path, run: Run, rules: tuple[Fault, ...], key: str
) -> None:
    with serving(recording, *rules, key=key) as server:
        (project / "oracles.yaml").write_text(ORACLES.format(address=server.base_url))
        labelled = distillery(
            *(project, "label", "--filter", "uplifting", "--input", "sample.jsonl"),
            *("--output", "out.jsonl", "--oracle", "local", "--json"),
        )
        assert server.requests or key != KEY, "the server was asked"
    shown = run("ledger", "show", "--json")
    exported = run("ledger", "export", "--output", "ledger.jsonl")
    outputs = [labelled.stdout, labelled.stderr, shown.out, shown.err, exported.out, exported.err]
    assert not [text for text in outputs if KEY in text or "Traceback" in text]
    assert labelled.stderr
    written = [path for path in project.rglob("*") if path.is_file()]
    assert project / "ledger.jsonl" in written
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


def distillery(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A real process, with the libraries' own logging as loud as it gets."""
    environment = os.environ | {"LOCAL_KEY": KEY, "OPENAI_LOG": "debug", "PYTHONDEVMODE": "0"}
    command = [sys.executable, "-m", "distillery_core", *arguments]
    return subprocess.run(
        command,
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
