"""As much of an MLflow server as a run asks for, over real HTTP on the loopback interface."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FIND, CREATE, READ = "experiments/get-by-name", "runs/create", "runs/get"
RECORD, END = "runs/log-batch", "runs/update"
OPENING = [FIND, CREATE]
RUN_ID = "0" * 32

_RUN = {"run_id": RUN_ID, "run_name": "a run", "experiment_id": "1", "status": "RUNNING"}
_TAKEN = {
    "experiment": {"experiment_id": "1", "name": "distillery"},
    "run": {"info": _RUN, "data": {}},
    "run_info": _RUN,
}


@dataclass
class MlflowServer:
    """What it was asked, and what it says next.

    Attributes:
        asked: the questions so far.
        answers: to a question, in place of success, each used once: a status and a JSON value.
        proxy: the status that every question is answered with, by a proxy before a server that is
            away; 0: the server answers itself.
        hangs_up: it closes every connection without an answer, as one that has gone away. Its port
            stays its own meanwhile, so that nobody else can answer there.
    """

    asked: list[str] = field(default_factory=list)
    answers: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    proxy: int = 0
    hangs_up: bool = False

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Its address for the block; nobody listens there afterwards."""
        handler = type("Handler", (_Handler,), {"told": self})
        with _Server(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()

    def reply(self, question: str) -> tuple[int, bytes]:
        """Status and body."""
        self.asked.append(question)
        if self.proxy:
            return self.proxy, b"<html>no server behind this proxy</html>"
        planned = self.answers.get(question)
        status, body = planned.pop(0) if planned else (200, _TAKEN)
        return status, json.dumps(body).encode()


class _Server(ThreadingHTTPServer):
    def verify_request(self, request: object, client_address: object) -> bool:
        handler: Any = self.RequestHandlerClass
        return not handler.told.hangs_up


class _Handler(BaseHTTPRequestHandler):
    told: MlflowServer

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body = self.told.reply(self.path.rpartition("/mlflow/")[2].partition("?")[0])
        self.send_response(status)
        if status in (429, 503):
            self.send_header("Retry-After", "3600")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name is http.server's

    def log_message(self, format: str, *values: object) -> None:
        """Nothing."""
