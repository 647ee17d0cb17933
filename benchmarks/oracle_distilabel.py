"""`vs_distilabel=`: requests per second of `label_file` / distilabel's, same server, 256 in flight.

distilabel gets a virtual environment of its own (kept in DISTILABEL_VENV, default a folder beside
the system's temporary files), in which this script runs itself. Its start-up is not counted: both
are timed from the first request that the server sees to the last one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

LATENCY_S = 0.2
CONCURRENCY = 256
ROWS = 2000
VENV = Path(os.environ.get("DISTILABEL_VENV", Path(tempfile.gettempdir()) / "distilabel-venv"))


def ask_with_distilabel(address: str, prompts: Path) -> None:
    """The other side: runs in distilabel's environment."""
    from distilabel.models import OpenAILLM  # type: ignore[import-not-found]
    from distilabel.pipeline import Pipeline  # type: ignore[import-not-found]
    from distilabel.steps import LoadDataFromDicts  # type: ignore[import-not-found]
    from distilabel.steps.tasks import TextGeneration  # type: ignore[import-not-found]

    rows = [json.loads(line) for line in prompts.read_text(encoding="utf-8").splitlines()]
    options = {"max_new_tokens": 1000, "temperature": 0.0}
    with Pipeline(name="benchmark") as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=CONCURRENCY)
        generate = TextGeneration(
            llm=OpenAILLM(model="m", base_url=address, api_key="none", generation_kwargs=options),
            system_prompt=rows[0]["system"],
            input_batch_size=CONCURRENCY,
        )
        load >> generate
    pipeline.run(use_cache=False)


def python_of_distilabel() -> str:
    """Its interpreter; the environment is made on the first run."""
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    known = subprocess.run([str(python), "-c", "import distilabel, openai, requests"], check=False)
    if known.returncode != 0:
        install = ["-m", "pip", "install", "--quiet", "distilabel[openai]", "requests"]
        subprocess.run([str(python), *install], check=True)
    return str(python)


class Stopwatch:
    """Seconds from the first request that a server has seen to the last one."""

    def __init__(self, server: Any) -> None:
        self._server, self._over = server, threading.Event()
        self._first = self._last = self._seen = 0.0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def rate(self) -> float:
        """Requests per second."""
        self._over.set()
        self._thread.join()
        return self._seen / max(self._last - self._first, 1e-9)

    def _look(self) -> None:
        while not self._over.wait(0.2):
            seen = sum(self._server.counts()["requests"].values())
            if seen > self._seen:
                self._first = self._first or time.perf_counter()
                self._last, self._seen = time.perf_counter(), seen


def main() -> None:
    """Measure both and print the ratio."""
    from oracle_setup import articles, build, serving, spec_of

    from distillery_core.labelling import label_file
    from distillery_core.labelling.run import question_of

    python = python_of_distilabel()
    with tempfile.TemporaryDirectory() as scratch:
        setup = build(Path(scratch) / "project", ROWS)
        prompts = Path(scratch) / "prompts.jsonl"
        with prompts.open("w", encoding="utf-8") as handle:
            for article in articles(ROWS):
                question = question_of(setup.filter, article)
                row = {"system": question.system, "instruction": question.user}
                handle.write(json.dumps(row) + "\n")
        with serving(setup.recording, latency_s=LATENCY_S, faults=True) as server:
            watch = Stopwatch(server)
            command = [python, __file__, "--ask", server.address, str(prompts)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            theirs = watch.rate()
        with serving(setup.recording, latency_s=LATENCY_S, faults=True) as server:
            watch = Stopwatch(server)
            output = setup.folder / "labelled.jsonl"
            spec = spec_of(server.address, CONCURRENCY)
            label_file(setup.filter, setup.corpus, output, spec=spec, project=setup.folder)
            ours = watch.rate()
    print(f"distilabel {theirs:.0f} requests/s, distillery label {ours:.0f} requests/s")
    print(f"vs_distilabel={ours / theirs:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ask"]:
        ask_with_distilabel(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
