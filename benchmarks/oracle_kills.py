"""Kill -9 at random points of a real `distillery label`: what is lost, what is asked twice.

    kills=                  processes that were killed
    lost=                   answers that had reached the ledger and were not in it afterwards
    asked_again_recorded=   calls about articles whose answer was in the ledger already
    asked_again_in_flight=  calls that had to be made again, at most kills x concurrency

The server is another process and counts what it was asked and what it answered, per article. In the
end the output must hold the same bytes as an uninterrupted run's (the moment of labelling apart).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracle_setup import ROOT, Server, Setup, build, serving

from distillery_core.oracle.ledger import Ledger

CONCURRENCY = 16
LATENCY_S = 0.02
ORACLE = """\
oracles:
  local:
    base_url: {address}
    model: m
    free: true
    concurrency: {concurrency}
"""


@dataclass
class Findings:
    """What the kills did."""

    kills: int = 0
    lost: int = 0
    again: int = 0


def ledger_of(project: Path) -> Path:
    """The project's ledger."""
    return project / ".distillery" / "ledger.sqlite"


def recorded(project: Path) -> set[str]:
    """Ids of the articles whose answer is in the ledger."""
    if not ledger_of(project).exists():
        return set()
    with Ledger.open(ledger_of(project)) as ledger:
        rows = ledger.connection.execute("SELECT article_id FROM items WHERE state = 'done'")
        return {row[0] for row in rows}


def interrupted(project: Path) -> int:
    """Calls that the ledger shows as interrupted."""
    with Ledger.open(ledger_of(project)) as ledger:
        query = "SELECT count(*) FROM attempts WHERE state = 'interrupted'"
        return int(ledger.connection.execute(query).fetchone()[0])


def command(setup: Setup, output: Path) -> list[str]:
    """`distillery label` on the whole corpus, as a sample, which needs no gate."""
    options = ["--filter", "uplifting", "--input", str(setup.corpus), "--output", str(output)]
    more = ["--oracle", "local", "--yes", "--more-samples"]
    return [sys.executable, "-m", "distillery_core", "label", *options, *more]


def environment() -> dict[str, str]:
    """The child's environment: this checkout's package."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


def kill_one(setup: Setup, output: Path, server: Server, chance: random.Random, found: Findings,
             target: int) -> bool:  # fmt: skip
    """Start a run, kill it near so many answers; whether it was killed before its end."""
    known, asked = recorded(setup.folder), server.counts()["requests"]
    child = subprocess.Popen(
        command(setup, output), cwd=setup.folder, env=environment(), stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wanted = sum(asked.values()) + target
    while child.poll() is None and sum(server.counts()["requests"].values()) < wanted:
        time.sleep(0.005)
    time.sleep(chance.random() * 2 * LATENCY_S)
    killed = child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    after = server.counts()["requests"]
    found.kills += killed
    found.lost += len(known - recorded(setup.folder))
    found.again += sum(after.get(one, 0) - asked.get(one, 0) for one in known)
    return killed


def rows_of(path: Path) -> list[Any]:
    """The rows without the moment at which each was labelled."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        del row["uplifting_analysis"]["provenance"]["labelled_at"]
    return rows


def finish(setup: Setup, output: Path) -> list[Any]:
    """Run to the end; returns the rows."""
    subprocess.run(
        command(setup, output), cwd=setup.folder, env=environment(), check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return rows_of(output)


def as_sample(setup: Setup) -> None:
    """Mark every article as one of a sample."""
    rows = [json.loads(line) for line in setup.corpus.read_text(encoding="utf-8").splitlines()]
    sample = {"class": "on_topic", "round": "calibration", "seed": 1}
    text = "".join(json.dumps(row | {"sample": sample}) + "\n" for row in rows)
    setup.corpus.write_text(text, encoding="utf-8")


def main() -> None:
    """Kill, finish, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    chosen: Any = parser.parse_args()
    chance, found = random.Random(11), Findings()
    rows = chosen.kills * 3 * CONCURRENCY
    with tempfile.TemporaryDirectory() as scratch:
        setup = build(Path(scratch) / "project", rows)
        as_sample(setup)
        output = setup.folder / "labelled.jsonl"
        with serving(setup.recording, latency_s=LATENCY_S, faults=False) as server:
            values = {"address": server.address, "concurrency": CONCURRENCY}
            (setup.folder / "oracles.yaml").write_text(ORACLE.format(**values))
            while found.kills < chosen.kills:
                target = chance.randint(1, 2 * CONCURRENCY)
                if not kill_one(setup, output, server, chance, found, target):
                    break
                assert not output.exists(), "the output appears at the end, whole"
            whole = finish(setup, output)
            repeats = sum(server.counts()["requests"].values()) - rows
            shown = interrupted(setup.folder)
            shutil.rmtree(setup.folder / ".distillery")
            assert whole == finish(setup, output), "another output than without kills"
    assert len(whole) == rows
    assert repeats <= shown <= found.kills * CONCURRENCY, (repeats, shown, found.kills)
    print(f"{rows} articles, {CONCURRENCY} in flight; interrupted calls in the ledger: {shown}")
    print(f"kills={found.kills}")
    print(f"lost={found.lost}")
    print(f"asked_again_recorded={found.again}")
    print(f"asked_again_in_flight={repeats}")


if __name__ == "__main__":
    main()
