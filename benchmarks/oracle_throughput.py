"""Requests per second of `label_file` beside a bare loop of the same client, in one run.

    vs_bare_client=       ours / bare, 256 in flight, with 1 % 429, 0.5 % 500, 0.5 % malformed
    share_of_ceiling_32=  ours / (concurrency / latency), 32 in flight, without errors; the bare
                          loop is measured beside it

The server (200 ms latency) has a process of its own. Runs are interleaved; medians count. Both use
`openai` with its aiohttp transport; the bare loop is what its documentation shows: one client, one
semaphore, the client's own retries, and each answer parsed and written to a file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
from oracle_setup import Server, Setup, articles, build, serving, spec_of

from distillery_core.filters.answers import answer_schema
from distillery_core.labelling import LabelSettings, label_file
from distillery_core.labelling.run import question_of

LATENCY_S = 0.2
BARE, OURS = "bare AsyncOpenAI", "distillery label"


def cpu_s() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def bare(setup: Setup, address: str, concurrency: int, output: Path) -> int:
    """A plain AsyncOpenAI loop with a semaphore; returns how many answers could be used."""
    question = question_of(setup.filter, next(articles(1)))
    instructions, behind = question.system, question.user.split("</article>")[1]
    schema = {"name": setup.filter.name, "schema": answer_schema(setup.filter), "strict": True}
    answer_format: Any = {"type": "json_schema", "json_schema": schema}
    limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    http = openai.DefaultAioHttpClient(limits=limits)
    client = openai.AsyncOpenAI(api_key="none", base_url=address, http_client=http)
    semaphore = asyncio.Semaphore(concurrency)
    good = 0
    with output.open("w", encoding="utf-8") as handle:

        async def one(line: str) -> None:
            nonlocal good
            row = json.loads(line)
            text = f"<article>\nTitle: {row['title']}\n\n{row['content']}\n</article>{behind}"
            async with semaphore:
                try:
                    answer = await client.chat.completions.create(
                        model="m",
                        messages=[
                            {"role": "system", "content": instructions},
                            {"role": "user", "content": text},
                        ],
                        response_format=answer_format,
                        temperature=0,
                        max_tokens=1000,
                    )
                    row["analysis"] = json.loads(answer.choices[0].message.content or "")
                except (openai.OpenAIError, ValueError):
                    return  # a malformed reply: the bare loop loses it
            handle.write(json.dumps(row) + "\n")
            good += 1

        with setup.corpus.open(encoding="utf-8") as lines:
            await asyncio.gather(*(one(line) for line in lines))
    await client.close()
    return good


def ours(setup: Setup, address: str, concurrency: int, folder: Path) -> int:
    """The labelling run with everything it does; returns how many answers could be used."""
    summary = label_file(
        setup.filter,
        setup.corpus,
        folder / "labelled.jsonl",
        spec=spec_of(address, concurrency),
        project=folder,
        settings=LabelSettings(),
    )
    return summary.labelled


def measured(title: str, rows: int, work: Callable[[], int]) -> float:
    """Requests per second of one run, which is also printed."""
    began, used = time.perf_counter(), cpu_s()
    good = work()
    seconds, cpu_ms = time.perf_counter() - began, (cpu_s() - used) / rows * 1000
    rate = rows / seconds
    numbers = f"{rate:>10.0f}{cpu_ms:>14.2f}{good:>10}{rows - good:>8}"
    print(f"{title:<24}{numbers}{os.getloadavg()[0]:>8.1f}", flush=True)
    return rate


def one_of_each(setup: Setup, server: Server, concurrency: int, run: int) -> dict[str, float]:
    """Both once; the order alternates."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        todo: list[tuple[str, Callable[[], int]]] = [
            (
                BARE,
                lambda: asyncio.run(
                    bare(setup, server.address, concurrency, folder / "bare.jsonl")
                ),
            ),
            (OURS, lambda: ours(setup, server.address, concurrency, folder)),
        ]
        if run % 2:
            todo.reverse()
        return {title: measured(title, setup.rows, work) for title, work in todo}


def several(setup: Setup, concurrency: int, *, faults: bool, runs: int) -> list[dict[str, float]]:
    """Both, so many times, each time beside a fresh server."""
    each = []
    print(f"{concurrency} in flight, {LATENCY_S:g} s, {'with' if faults else 'without'} faults")
    for run in range(runs):
        with serving(setup.recording, latency_s=LATENCY_S, faults=faults) as server:
            each.append(one_of_each(setup, server, concurrency, run))
    return each


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--runs", type=int, default=3)
    chosen: Any = parser.parse_args()
    print(f"{'':<24}{'requests/s':>10}{'CPU ms each':>14}{'answered':>10}{'lost':>8}{'load':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        setup = build(Path(scratch) / "project", chosen.rows)
        at_256 = several(setup, 256, faults=True, runs=chosen.runs)
        at_32 = several(setup, 32, faults=False, runs=chosen.runs)
    for concurrency, runs in ((256, at_256), (32, at_32)):
        for name, title in (("bare", BARE), ("ours", OURS)):
            print(f"{name}_{concurrency}={statistics.median(run[title] for run in runs):.0f}")
    ratios = [run[OURS] / run[BARE] for run in at_256]
    share = statistics.median(run[OURS] for run in at_32) / (32 / LATENCY_S)
    print(f"vs_bare_client={statistics.median(ratios):.2f}")
    print(f"share_of_ceiling_32={share:.2f}")


if __name__ == "__main__":
    main()
