"""Runs the oracle benchmarks one after the other (`make bench-oracle`); their results come last.

    python benchmarks/oracle.py [--only throughput kills] [--write]

`--write` keeps the results in docs/data/bench_oracle.json and puts them into docs/benchmarks.md;
what was not run this time stays there as it was measured before.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup
from page import BENCHMARKS_PAGE, ROOT, machine, write_block

from distillery_core.files import write_json
from distillery_core.reports.markdown import inline_code, table

RESULTS_FILE = ROOT / "docs" / "data" / "bench_oracle.json"
SCRIPTS = ("throughput", "distilabel", "memory", "kills")
_RESULT = re.compile(r"([a-z_0-9]+)=(\S+)")


@dataclass(frozen=True)
class Result:
    """A result with its target; `details` are templates of what stands behind it."""

    key: str
    script: str
    what: str
    least: float | None = None
    most: float | None = None
    details: str = ""

    @property
    def target(self) -> str:
        """The target in words."""
        if self.least is not None:
            return f"at least {self.least:g}"
        return "-" if self.most is None else f"at most {self.most:g}"

    def met(self, value: str) -> bool:
        """Whether a value keeps to it."""
        low = self.least is None or float(value) >= self.least
        return low and (self.most is None or float(value) <= self.most)

    def row(self, found: dict[str, str]) -> tuple[str, ...]:
        """Its row of the page, given what its script printed."""
        value = found.get(self.key)
        measured = ("not measured", "", "")
        if value is not None:
            met = "yes" if self.met(value) else "no"
            measured = (value, met, self.details.format(**found))
        return (inline_code(self.key), Markup(self.what), self.target, *measured)


RESULTS = (
    Result(
        *("vs_bare_client", "throughput"),
        "requests/s of `label_file` / of a bare `AsyncOpenAI` loop, 256 in flight, with faults",
        least=0.9,
        details="{ours_256} / {bare_256} requests/s",
    ),
    Result(
        *("vs_distilabel", "distilabel"),
        "requests/s of `label_file` / of distilabel, 256 in flight, with faults",
        least=3,
        details="{ours_beside_distilabel} / {distilabel} requests/s (distilabel "
        "{distilabel_version}); of {rows_asked} articles {answers_ours} / {answers_distilabel} "
        "were answered: {vs_distilabel_answered} times as many per second",
    ),
    Result(
        *("share_of_ceiling_32", "throughput"),
        "requests/s / (concurrency / latency), 32 in flight, without faults",
        least=0.85,
        details="{ours_32} of 160 requests/s; the bare loop: {bare_32}",
    ),
    Result(
        *("rss_mb_100k", "memory"),
        "resident memory above the imports at 100,000 rows, highest seen, MB",
        most=60,
        details="server without latency, 256 in flight, {requests_per_s} requests/s",
    ),
    Result("kills", "kills", "`kill -9` of `distillery label` at a random point", least=50),
    Result("lost", "kills", "answers in the ledger before a kill and not after it", most=0),
    Result(
        *("asked_again_recorded", "kills"),
        "calls about articles whose answer was in the ledger",
        most=0,
    ),
    Result(
        *("asked_again_in_flight", "kills"),
        "calls that were in flight at a kill and made again",
        most=800,
        details="at most kills x concurrency (16); {articles} articles; the output is the same",
    ),
)


def run(name: str) -> tuple[dict[str, str], bool]:
    """One script's results, printing everything else; whether it ended well."""
    results: dict[str, str] = {}
    script = Path(__file__).with_name(f"oracle_{name}.py")
    print(f"== {script.name}, load {os.getloadavg()[0]:.1f}", flush=True)
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if found := _RESULT.fullmatch(line.strip()):
                results[found[1]] = found[2]
    return results, process.returncode == 0


def measured(names: list[str]) -> tuple[dict[str, Any], bool]:
    """What each script measured, and when; whether all of them ended well."""
    runs: dict[str, Any] = {}
    well = True
    for name in names:
        load = os.getloadavg()[0]
        results, good = run(name)
        well = well and good
        if good:
            loads = f"{load:.1f} before, {os.getloadavg()[0]:.1f} after"
            today = datetime.now(UTC).date().isoformat()
            runs[name] = {"date": today, "load": loads, "machine": machine(), "results": results}
    return runs, well


def block(runs: dict[str, Any]) -> str:
    """The page's block: every result beside its target, and where it was measured."""
    header = ("result", "what it is", "target", "measured", "met", "behind it")
    rows = (result.row(runs.get(result.script, {}).get("results", {})) for result in RESULTS)
    where = "\n".join(
        f"- `benchmarks/oracle_{name}.py`: {one['date']}, {one['machine']}; load average "
        f"{one['load']}"
        for name, one in runs.items()
    )
    return f"{table(header, rows, right=(3,))}\n\n{where}"


def known() -> dict[str, Any]:
    """What was measured before."""
    if not RESULTS_FILE.exists():
        return {}
    runs: dict[str, Any] = json.loads(RESULTS_FILE.read_text(encoding="utf-8"))
    return runs


def main() -> None:
    """Run them; a script that fails leaves its lines out, and the exit code says so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS))
    parser.add_argument("--write", action="store_true", help=f"write {BENCHMARKS_PAGE.name}")
    chosen: Any = parser.parse_args()
    runs, well = measured(chosen.only)
    if chosen.write:
        together = known() | runs
        kept = {name: together[name] for name in SCRIPTS if name in together}
        write_json(RESULTS_FILE, kept)
        write_block(BENCHMARKS_PAGE, "labelling", block(kept))
    for result in RESULTS:
        if result.script in chosen.only:
            value = runs.get(result.script, {}).get("results", {}).get(result.key, "not measured")
            print(f"{result.key}={value}")
    sys.exit(not well)


if __name__ == "__main__":
    main()
