"""Runs the oracle benchmarks one after the other; their result lines come last, together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = ("throughput", "distilabel", "memory", "kills")
RESULTS = (
    "vs_bare_client", "vs_distilabel", "share_of_ceiling_32", "rss_mb_100k", "kills", "lost",
    "asked_again_recorded", "asked_again_in_flight",
)  # fmt: skip


def main() -> None:
    """Run them all; a script that fails leaves its lines out, and the exit code says so."""
    results: dict[str, str] = {}
    failed = False
    for name in SCRIPTS:
        script = Path(__file__).with_name(f"oracle_{name}.py")
        print(f"== {script.name}", flush=True)
        with subprocess.Popen(
            [sys.executable, str(script)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                key, is_result, value = line.strip().partition("=")
                if is_result and key in RESULTS:
                    results[key] = value
                else:
                    print(line, end="", flush=True)
        failed |= process.returncode != 0
    for key in RESULTS:
        print(f"{key}={results.get(key, 'not measured')}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
