"""`vs_distilabel=`: requests per second of `label_file` / distilabel's, same server, 256 in flight.

distilabel gets a virtual environment of its own (kept in DISTILABEL_VENV, by default a folder among
the system's temporary ones), in which this script runs itself. Its start-up is not counted: both
are timed from the first requests that the server sees to the last one. Runs alternate; the medians
count. The server's faults are the same for both.

A request is counted whatever became of its answer, and distilabel throws away the answers of a
whole batch of 256 where one reply in it is no JSON. `vs_distilabel_answered=` compares what is
left: articles with an answer, per second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LATENCY_S = 0.2
CONCURRENCY = 256
ROWS = 4000
RUNS = 3
DISTILABEL = "1.5.3"
VENV = Path(os.environ.get("DISTILABEL_VENV", Path(tempfile.gettempdir()) / "distilabel-venv"))


def ask_with_distilabel(address: str, prompts: Path, generations: Path) -> None:
    """The other side: runs in distilabel's environment, writes how many answers it got."""
    import pyarrow.parquet  # type: ignore[import-untyped]
    from distilabel.models import OpenAILLM  # type: ignore[import-not-found]
    from distilabel.pipeline import Pipeline  # type: ignore[import-not-found]
    from distilabel.steps import LoadDataFromDicts  # type: ignore[import-not-found]
    from distilabel.steps.tasks import TextGeneration  # type: ignore[import-not-found]

    rows = [json.loads(line) for line in prompts.read_text(encoding="utf-8").splitlines()]
    options = {"max_new_tokens": 1000, "temperature": 0.0}
    results = generations.parent / "distilabel"
    with Pipeline(name="benchmark", cache_dir=results) as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=CONCURRENCY)
        generate = TextGeneration(
            llm=OpenAILLM(model="m", base_url=address, api_key="none", generation_kwargs=options),
            system_prompt=rows[0]["system"],
            input_batch_size=CONCURRENCY,
        )
        load >> generate
    # Its own reading of the results fails where a batch that was given up has no column's type.
    with contextlib.suppress(pyarrow.ArrowNotImplementedError):
        pipeline.run(use_cache=False)
    tables = [pyarrow.parquet.read_table(path) for path in results.rglob("*.parquet")]
    columns = [table.column("generation") for table in tables]
    generations.write_text(str(sum(len(column) - column.null_count for column in columns)))


def python_of_distilabel() -> str:
    """Its interpreter; the environment is made on the first run."""
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    # It imports requests and bs4 without asking for them.
    known = [str(python), "-c", "import distilabel, openai, requests, bs4"]
    if subprocess.run(known, check=False, stderr=subprocess.DEVNULL).returncode != 0:
        wanted = (f"distilabel[openai]=={DISTILABEL}", "requests", "beautifulsoup4")
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True)
    return str(python)


class Stopwatch:
    """Looks at what a server has seen, from the first requests to the last one."""

    _EVERY_S = 0.05

    def __init__(self, server: Any) -> None:
        self._server, self._over = server, threading.Event()
        self._seen: list[tuple[float, int]] = []
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def rate(self) -> float:
        """Requests per second."""
        self._over.set()
        self._thread.join()
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        return (last - first) / (ended - began)

    def _look(self) -> None:
        while not self._over.wait(self._EVERY_S):
            seen = self._server.totals()["requests"]
            if seen > (self._seen[-1][1] if self._seen else 0):
                self._seen.append((time.perf_counter(), seen))


def write_prompts(setup: Any, prompts: Path) -> None:
    """The very prompts that `label_file` sends."""
    from oracle_setup import articles

    from distillery_core.labelling.run import question_of

    with prompts.open("w", encoding="utf-8") as handle:
        for article in articles(setup.rows):
            question = question_of(setup.filter, article)
            row = {"system": question.system, "instruction": question.user}
            handle.write(json.dumps(row) + "\n")


def theirs(python: str, address: str, prompts: Path, folder: Path) -> int:
    """distilabel's run; returns how many answers it got."""
    generations = folder / "generations.txt"
    command = [python, __file__, "--ask", address, str(prompts), str(generations)]
    log = folder / "distilabel.log"
    with log.open("w", encoding="utf-8") as handle:
        ended = subprocess.run(command, check=False, stdout=handle, stderr=subprocess.STDOUT)
    if ended.returncode != 0:
        sys.exit(f"{log.read_text(encoding='utf-8')[-3000:]}\ndistilabel failed, see above")
    return int(generations.read_text())


def ours(setup: Any, address: str, folder: Path) -> int:
    """The labelling run; returns how many answers could be used."""
    from oracle_setup import spec_of

    from distillery_core.labelling import label_file

    spec = spec_of(address, CONCURRENCY)
    summary = label_file(
        setup.filter, setup.corpus, folder / "labelled.jsonl", spec=spec, project=folder
    )
    return summary.labelled


def measured(title: str, setup: Any, work: Callable[[str, Path], int]) -> tuple[float, int]:
    """Requests per second and usable answers of one run, which are also printed."""
    from oracle_setup import serving

    with (
        tempfile.TemporaryDirectory() as folder,
        serving(setup.recording, latency_s=LATENCY_S, faults=True) as server,
    ):
        watch = Stopwatch(server)
        good = work(server.address, Path(folder))
        rate = watch.rate()
    print(f"{title:<24}{rate:>10.0f}{good:>10}{os.getloadavg()[0]:>8.1f}", flush=True)
    return rate, good


def main() -> None:
    """Measure both and print the ratio."""
    from oracle_setup import build

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--runs", type=int, default=RUNS)
    chosen: Any = parser.parse_args()
    python = python_of_distilabel()
    with tempfile.TemporaryDirectory() as scratch:
        setup, prompts = build(Path(scratch) / "project", chosen.rows), Path(scratch) / "prompts"
        write_prompts(setup, prompts)
        each: dict[str, list[tuple[float, int]]] = {"distilabel": [], "distillery label": []}
        work: dict[str, Callable[[str, Path], int]] = {
            "distilabel": lambda address, folder: theirs(python, address, prompts, folder),
            "distillery label": lambda address, folder: ours(setup, address, folder),
        }
        print(f"{'':<24}{'requests/s':>10}{'answered':>10}{'load':>8}")
        for run in range(chosen.runs):
            for title in reversed(work) if run % 2 else work:
                each[title].append(measured(title, setup, work[title]))
    (rate, good), (our_rate, our_good) = (
        [statistics.median(values) for values in zip(*runs, strict=True)] for runs in each.values()
    )
    print(f"distilabel_version={DISTILABEL}")
    print(f"rows_asked={chosen.rows}")
    print(f"distilabel={rate:.0f}\nours_beside_distilabel={our_rate:.0f}")
    print(f"answers_distilabel={good:.0f}\nanswers_ours={our_good:.0f}")
    print(f"vs_distilabel={our_rate / rate:.2f}")
    print(f"vs_distilabel_answered={our_rate * our_good / (rate * good):.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ask"]:
        ask_with_distilabel(sys.argv[2], *map(Path, sys.argv[3:5]))
    else:
        main()
