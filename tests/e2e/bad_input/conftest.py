"""Two small filters in a project of their own, real commands, and an oracle that can misbehave.

`storm` is labelled by a replay server, `tiny` has a trained student for prepare, train and score.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from distillery_core.cli.main import main
from distillery_core.dataset.prepare import prepare
from distillery_core.fence import normalised_key
from distillery_core.filters import load_filter
from distillery_core.oracle.faults import Fault, Faults
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.recording import (
    RecordedAnswer,
    RecordingHead,
    load_recordings,
    write_recording,
)
from distillery_core.oracle.replay_server import ReplayServer
from distillery_core.student.settings import TrainSettings
from distillery_core.student.testing import labelled_rows, tiny_base, tiny_filter, write_rows
from distillery_core.student.training import train

RECORDED = 200
SCRIPT = "import sys; from distillery_core.cli.main import main; sys.exit(main())"
STORM = {
    "config.yaml": """\
filter: {name: storm, version: "1.0", scope: {in: storms, out: the rest}}
oracle: {name: test, max_output_tokens: 100}
scoring:
  dimensions:
    harm: {weight: 0.5, description: people hurt}
    wind: {weight: 0.3, description: wind speed}
    proof: {weight: 0.2, description: how sure}
  tiers: [{name: high, at: 5.0}, {name: low, at: 0.0}]
sampling: {on_topic: {keywords: [coast]}, edge: {keywords: [harbour]}}
""",
    "prompt.md.j2": """\
Score the article for:
{% for name, dimension in dimensions.items() %}
{{ name }}: {{ dimension.description }}
{% endfor %}
{{ article }}
Answer with one JSON object.
""",
    "prefilter.yaml": "min_chars: 12\n",
}
NOBODY = "http://127.0.0.1:9/v1"

_LOCKS = (".distillery", "locks")


def article(number: int) -> dict[str, Any]:
    """An article of a sample, which may be labelled without a gate."""
    return {
        "id": f"a{number:03}",
        "title": f"Storm {number}",
        "content": f"Storm number {number} hit the coast and tore the roofs off many houses.",
        "sample": {"class": "on_topic", "reason": "storm", "seed": 1, "round": "calibration"},
    }


def text_key(number: int) -> str:
    return normalised_key(article(number)["content"])


def write_oracle(project: Path, base_url: str, **settings: Any) -> None:
    """An oracles.yaml with the one oracle `test`, paid."""
    entry = {
        "base_url": base_url,
        "model": "m",
        "concurrency": 4,
        "timeout_s": 2,
        "price": {"input": 1.0, "output": 2.0, "as_of": "2026-11-01"},
    }
    text = json.dumps({"oracles": {"test": entry | settings}}, indent=2)
    (project / "oracles.yaml").write_text(text, encoding="utf-8")


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that every test gets a copy of, with a trained student of `tiny`."""
    project = tmp_path_factory.mktemp("made") / "project"
    folder = project / "filters" / "storm" / "v1"
    folder.mkdir(parents=True)
    for name, text in STORM.items():
        (folder / name).write_text(text, encoding="utf-8")
    head = RecordingHead(
        filter="storm",
        version=1,
        prompt_sha256=load_filter(folder).prompt_sha256,
        model="recorded-model",
        recorded_at="2026-11",
    )
    answers = [_answer(number) for number in range(RECORDED)]
    write_recording(folder / "recording", head, answers)
    write_oracle(project, NOBODY)
    _train_tiny(project)
    return project


def _answer(number: int) -> RecordedAnswer:
    scores = {"harm": number % 11, "wind": 0.5, "proof": 10 - number % 11}
    answer = {"reasoning": f"Report {number}"} | scores
    return RecordedAnswer(id=article(number)["id"], text_key=text_key(number), answer=answer)


def _train_tiny(project: Path) -> None:
    tiny = tiny_filter(project / "filters")
    labelled = write_rows(project / "labelled.jsonl", labelled_rows(tiny, 120))
    data = project / "datasets" / "training" / "tiny"
    prepare(tiny, labelled, data)
    settings = TrainSettings(
        model_name=str(tiny_base(project / "base", "bert")),
        max_length=32,
        epochs=1,
        learning_rate=5e-3,
        precision="float32",
        device="cpu",
        threads=1,
    )
    train(tiny, data, tiny.folder, settings)


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


class Kit:
    """A project of its own, and what a test does with it."""

    article = staticmethod(article)
    text_key = staticmethod(text_key)
    write_rows = staticmethod(write_rows)
    rows = staticmethod(read_rows)

    def __init__(
        self, project: Path, capsys: pytest.CaptureFixture[str], servers: ExitStack
    ) -> None:
        self.project, self._capsys, self._servers = project, capsys, servers

    def articles(self, count: int, name: str = "articles.jsonl", **more: Any) -> Path:
        """The first articles as a file; each is a row of a sample, and has `more` keys."""
        return write_rows(self.project / name, [article(n) | more for n in range(count)])

    def run(self, *arguments: str) -> Outcome:
        """Run a command line in this process."""
        self._capsys.readouterr()
        code = main(arguments)
        captured = self._capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    def start(
        self, *arguments: str, script: str = SCRIPT, **environment: str
    ) -> subprocess.Popen[str]:
        """Start a command line as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            cwd=self.project, env=os.environ | environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def spawn(self, *arguments: str, script: str = SCRIPT, **environment: str) -> Outcome:
        """Run a command line as a process of its own."""
        process = self.start(*arguments, script=script, **environment)
        out, err = process.communicate(timeout=120)
        return Outcome(process.returncode, out, err)

    def oracle(self, base_url: str = NOBODY, **settings: Any) -> None:
        """Make an address the project's oracle."""
        write_oracle(self.project, base_url, **settings)

    def serve(
        self, *rules: Fault, latency_s: float = 0.0, key: str | None = None, **settings: Any
    ) -> ReplayServer:
        """Start a replay server with faults and make it the project's oracle."""
        recordings = load_recordings(self.project / "filters" / "storm" / "v1" / "recording")
        server = ReplayServer(recordings, Faults(rules), latency_s=latency_s, key=key)
        self._servers.enter_context(server)
        self.oracle(server.base_url, **settings)
        return server

    def snapshot(self, *besides: str) -> dict[str, bytes]:
        """Every file with its bytes, but those below the names in `besides`, and the empty files
        that a command holds while it runs."""
        found = {path.relative_to(self.project): path for path in self.project.rglob("*")}
        found = {name: path for name, path in found.items() if name.parts[:2] != _LOCKS}
        return {
            str(name): path.read_bytes()
            for name, path in found.items()
            if path.is_file() and name.parts[0] not in besides
        }

    def attempts(self) -> Counter[str]:
        """Calls in the project's ledger by state."""
        with Ledger.open(self.project / ".distillery" / "ledger.sqlite") as ledger:
            query = "SELECT state, count(*) FROM attempts GROUP BY state"
            return Counter(dict(ledger.connection.execute(query).fetchall()))


@pytest.fixture
def kit(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Kit]:
    """A copy of the made project, which is also the working directory."""
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    with ExitStack() as servers:
        yield Kit(tmp_path / "project", capsys, servers)
