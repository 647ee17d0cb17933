"""The replay server as a process: RECORDING LATENCY_S faults|none.

A line on stdin asks for numbers: `counts`, by article, or `totals`, which costs the server nothing.
Faults are what the targets name: 1 % of the requests get a 429, 0.5 % a 500, 0.5 % half a reply.
A 429 asks to wait a second, the least that the header can say (whole seconds, RFC 9110, 10.2.3).
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
        Fault("status", status=429, share=0.01, retry_after_s=1),
        Fault("status", status=500, share=0.005),
        Fault("malformed", share=0.005),
    )
)


def counts(server: ReplayServer, ids: dict[str, str]) -> dict[str, dict[str, int]]:
    """Requests and answers by article."""
    return {
        "requests": {ids[key]: n for key, n in list(server.requests.items())},
        "answered": {ids[key]: n for key, n in list(server.answered.items())},
    }


def totals(server: ReplayServer) -> dict[str, int]:
    """Requests and answers in all."""
    return {
        "requests": sum(list(server.requests.values())),
        "answered": sum(list(server.answered.values())),
    }


def main() -> None:
    """Serve until stdin ends."""
    folder, latency_s, faults = sys.argv[1:]
    recordings = load_recordings(Path(folder))
    ids = {key: answer.id for r in recordings for key, answer in r.answers.items()}
    wanted = FAULTS if faults == "faults" else Faults()
    with ReplayServer(recordings, wanted, latency_s=float(latency_s)) as server:
        print(json.dumps({"address": server.base_url}), flush=True)
        for line in sys.stdin:
            numbers = totals(server) if line.strip() == "totals" else counts(server, ids)
            print(json.dumps(numbers), flush=True)


if __name__ == "__main__":
    main()
