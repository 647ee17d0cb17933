"""Kill -9 at random points of a real `distillery label`: what is lost, what is asked twice.

    kills=                  processes that were killed
    lost=                   answers that had reached the ledger and were not in it afterwards
    asked_again_recorded=   calls about articles whose answer was in the ledger already
    asked_again_in_flight=  calls that had to be made again, at most kills x concurrency

The server is another process and counts what it was asked and what it answered, per article. Most
kills hit a run that is asking; one in five comes at any moment from the start of the process, its
imports and the opening of the ledger included.

In the end the output must hold the same bytes as an uninterrupted run's, in all three files. One
field is left out of the comparison: `labelled_at`, since two runs end their calls at two moments.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
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
AT_ANY_MOMENT = 5  # one kill in so many
START_UP_S = 2.0
_LABELLED_AT = re.compile(rb'"labelled_at": ?"[^"]*"')
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


def kill_one(
    setup: Setup, output: Path, server: Server, found: Findings, target: int, delay_s: float
) -> bool:
    """Start a run, kill it so long after so many requests; whether that was before its end."""
    known, asked = recorded(setup.folder), server.counts()["requests"]
    child = subprocess.Popen(
        command(setup, output), cwd=setup.folder, env=environment(), stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wanted = sum(asked.values()) + target
    while child.poll() is None and server.totals()["requests"] < wanted:
        time.sleep(0.005)
    time.sleep(delay_s)
    killed = child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    after = server.counts()["requests"]
    found.kills += killed
    found.lost += len(known - recorded(setup.folder))
    found.again += sum(after.get(one, 0) - asked.get(one, 0) for one in known)
    return killed


def bytes_of(output: Path) -> dict[str, bytes]:
    """The files of a run without the moments at which articles were labelled."""
    files = sorted(output.parent.glob(f"{output.stem}*"))
    return {path.name: _LABELLED_AT.sub(b"", path.read_bytes()) for path in files}


def finish(setup: Setup, output: Path) -> dict[str, bytes]:
    """Run to the end; returns what was written."""
    subprocess.run(
        command(setup, output), cwd=setup.folder, env=environment(), check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return bytes_of(output)


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
                if found.kills % AT_ANY_MOMENT:
                    target, delay_s = chance.randint(1, 2 * CONCURRENCY), 2 * LATENCY_S
                else:
                    target, delay_s = 0, START_UP_S
                delay_s *= chance.random()
                if not kill_one(setup, output, server, found, target, delay_s):
                    break
                assert not output.exists(), "the output appears at the end, whole"
            whole = finish(setup, output)
            repeats = sum(server.counts()["requests"].values()) - rows
            shown = interrupted(setup.folder)
            shutil.rmtree(setup.folder / ".distillery")
            output.unlink()
            assert whole == finish(setup, output), "another output than without kills"
    assert whole[output.name].count(b"\n") == rows
    assert repeats <= shown <= found.kills * CONCURRENCY, (repeats, shown, found.kills)
    print(f"{CONCURRENCY} in flight; interrupted calls in the ledger: {shown}")
    print(f"articles={rows}")
    print(f"kills={found.kills}")
    print(f"lost={found.lost}")
    print(f"asked_again_recorded={found.again}")
    print(f"asked_again_in_flight={repeats}")


if __name__ == "__main__":
    main()
