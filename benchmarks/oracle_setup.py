"""What the oracle benchmarks share: a project with recorded answers, and its server's process."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any

from distillery_core.fence import fence_content, normalised_key
from distillery_core.filters import Filter, load_filter
from distillery_core.labelling.run import question_of
from distillery_core.oracle.recording import RecordedAnswer, RecordingHead, write_recording
from distillery_core.oracle.spec import OracleSpec, Price
from distillery_core.types import Article

ROOT = Path(__file__).parents[1]
PRICE = Price(input=0.3, output=2.5, cached=0.03, as_of=date(2026, 11, 1))
SERVER = Path(__file__).with_name("oracle_server.py")
_WORDS_AN_ARTICLE = 400  # about 2.8 KB, the median of news corpora


@dataclass(frozen=True)
class Setup:
    """A project folder with a filter, its recorded answers and a corpus of so many articles."""

    folder: Path
    filter: Filter
    corpus: Path
    rows: int

    @property
    def recording(self) -> Path:
        """The recorded answers."""
        return self.filter.folder / "recording"


def build(folder: Path, rows: int) -> Setup:
    """Write the project: a shipped filter, `rows` articles of made-up words, an answer for each."""
    home = folder / "filters" / "uplifting" / "v1"
    shutil.copytree(ROOT / "filters" / "uplifting" / "v1", home)
    (home / "prefilter.yaml").unlink(missing_ok=True)
    filter = load_filter(home)
    head = RecordingHead(
        filter=filter.name,
        version=filter.version,
        prompt_sha256=filter.prompt_sha256,
        model="benchmark",
        recorded_at="2026-11",
    )
    write_recording(home / "recording", head, (_answer(filter, one) for one in articles(rows)))
    corpus = folder / "articles.jsonl"
    with corpus.open("w", encoding="utf-8") as handle:
        for article in articles(rows):
            handle.write(json.dumps(article.row()) + "\n")
    return Setup(folder, filter, corpus, rows)


def articles(rows: int) -> Iterator[Article]:
    """The corpus, the same in every call."""
    chance = random.Random(3)
    words = ["".join(chance.choices("abcdefghijklmnoprstuw", k=6)) for _ in range(5000)]
    for number in range(rows):
        text = " ".join(chance.choices(words, k=_WORDS_AN_ARTICLE))
        yield Article(f"a{number:07}", f"Title {number}", f"Number {number}. {text}")


def _answer(filter: Filter, article: Article) -> RecordedAnswer:
    content = fence_content(question_of(filter, article).user)[1]
    scores: dict[str, Any] = {name: len(content) % 11 for name in filter.dimensions}
    reasoning = {"reasoning": f"{article.title} says so, twice, and more to the point. " * 4}
    return RecordedAnswer(
        id=article.id, text_key=normalised_key(content), answer=reasoning | scores
    )


def spec_of(address: str, concurrency: int, **changes: Any) -> OracleSpec:
    """The oracle at a server's address."""
    values = {"name": "benchmark", "base_url": address, "model": "m", "price": PRICE}
    return OracleSpec(**values | {"concurrency": concurrency, "timeout_s": 60} | changes)


class Server:
    """The replay server in a process of its own, so that it takes no time from the client's."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address = self._line()["address"]

    def counts(self) -> dict[str, dict[str, int]]:
        """Requests and answers so far by article."""
        counts: dict[str, dict[str, int]] = self._asked("counts")
        return counts

    def totals(self) -> dict[str, int]:
        """Requests and answers so far."""
        totals: dict[str, int] = self._asked("totals")
        return totals

    def _asked(self, what: str) -> Any:
        self._pipe(self._process.stdin).write(f"{what}\n")
        self._pipe(self._process.stdin).flush()
        return self._line()

    def _line(self) -> Any:
        return json.loads(self._pipe(self._process.stdout).readline())

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


@contextmanager
def serving(recording: Path, *, latency_s: float, faults: bool) -> Iterator[Server]:
    """Run the server for the block. `faults`: 1 % 429, 0.5 % 500, 0.5 % malformed."""
    options = [str(recording), str(latency_s), "faults" if faults else "none"]
    process = subprocess.Popen(
        [sys.executable, str(SERVER), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        yield Server(process)
    finally:
        process.terminate()
        process.wait()
