"""The replay server as a process: RECORDING LATENCY_S faults|none; `counts` on stdin prints them.

Faults are what the targets name: 1 % of the requests get a 429, 0.5 % a 500, 0.5 % half a reply.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from distillery_core.oracle.faults import Fault, Faults
from distillery_core.oracle.recording import load_recordings
from distillery_core.oracle.replay_server import ReplayServer

FAULTS = Faults(
    (
        Fault("status", status=429, share=0.01, retry_after_s=0.2),
        Fault("status", status=500, share=0.005),
        Fault("malformed", share=0.005),
    )
)


def main() -> None:
    """Serve until stdin ends."""
    folder, latency_s, faults = sys.argv[1:]
    recordings = load_recordings(Path(folder))
    ids = {key: answer.id for r in recordings for key, answer in r.answers.items()}
    wanted = FAULTS if faults == "faults" else Faults()
    with ReplayServer(recordings, wanted, latency_s=float(latency_s)) as server:
        print(json.dumps({"address": server.base_url}), flush=True)
        for _ in sys.stdin:
            counts = {
                "requests": {ids[key]: n for key, n in list(server.requests.items())},
                "answered": {ids[key]: n for key, n in list(server.answered.items())},
            }
            print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
