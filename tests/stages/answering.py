"""An oracle that really answers over HTTP, by a function: for what no recording can hold."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from distillery_core.fence import fence_content, normalised_key

ORACLES = """
oracles:
  live:
    base_url: {address}
    model: answering-1
    concurrency: 8
    price: {{input: 1.0, output: 2.0, as_of: 2026-11-01}}
"""


@dataclass(frozen=True)
class Asked:
    """A request: which form of answer is wanted (the schema's name), and the texts."""

    form: str
    system: str
    user: str

    @property
    def content(self) -> str:
        """The article's text, as far as it was sent."""
        return fence_content(self.user)[1]

    @property
    def key(self) -> str:
        """Identity of the article's text."""
        return normalised_key(self.content)


Answer = Callable[[Asked], dict[str, Any] | str | int]
"""The answer's JSON, its text, or an HTTP status instead of one."""


class AnsweringOracle(ThreadingHTTPServer):
    """Keeps what it was asked."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.asked: list[Asked] = []

    def of_form(self, form: str) -> list[Asked]:
        """What it was asked in this form."""
        return [one for one in self.asked if one.form == form]


class _Handler(BaseHTTPRequestHandler):
    server: AnsweringOracle
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        texts = {one["role"]: one["content"] for one in body["messages"][:2]}
        form = body["response_format"]["json_schema"]["name"]
        asked = Asked(form, texts.get("system", ""), texts["user"])
        self.server.asked.append(asked)
        answer = self.server.answer(asked)
        if isinstance(answer, int):
            self._send(answer, {"error": {"message": "no", "type": "no", "code": "no"}})
            return
        text = answer if isinstance(answer, str) else json.dumps(answer)
        read = (len(asked.system) + len(asked.user)) // 4
        usage = {"prompt_tokens": read, "completion_tokens": len(text) // 4 + 1}
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        reply = {"id": "x", "object": "chat.completion", "created": 0, "model": "answering-1"}
        total = {"total_tokens": sum(usage.values())}
        self._send(200, reply | {"choices": [{"index": 0} | choice], "usage": usage | total})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """No line per request."""


@contextmanager
def answering(answer: Answer, project: Path) -> Iterator[AnsweringOracle]:
    """Serve, and name the oracle `live` in the project's oracles.yaml."""
    with AnsweringOracle(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/v1"
        project.mkdir(parents=True, exist_ok=True)
        (project / "oracles.yaml").write_text(ORACLES.format(address=address), encoding="utf-8")
        try:
            yield server
        finally:
            server.shutdown()
