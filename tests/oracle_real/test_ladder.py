"""The ladder json_schema, json_object, text against a real model: each rung refused by a proxy.

The refusals are what servers really say; the model behind answers whatever rung is left.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest

from distillery_core.filters import Filter
from distillery_core.labelling import LabelSettings, label_file
from distillery_core.oracle.spec import OracleSpec

ROWS = 3
REFUSALS = {
    "json_schema": (500, "1 validation error: response_format.type: Input should be 'json_object'"),
    "json_object": (400, "response_format is not supported by this model"),
}


@contextmanager
def refusing(target: str, refused: list[str]) -> Iterator[str]:
    """A proxy that refuses some answer formats and hands on the rest; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            wanted = (json.loads(body).get("response_format") or {}).get("type", "text")
            if wanted in refused:
                status, message = REFUSALS[wanted]
                data = json.dumps({"error": {"message": message}}).encode()
            else:
                headers = {"content-type": "application/json"}
                url = f"{target}/chat/completions"
                reply = httpx2.post(
                    url, content=body, headers=headers, timeout=300, trust_env=False
                )
                status, data = reply.status_code, reply.content
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("refused", "rung"),
    [
        ([], "json_schema"),
        (["json_schema"], "json_object"),
        (["json_schema", "json_object"], "text"),
    ],
)
def test_a_refused_rung_leads_to_the_next_one(
    base_url: str, danger: Filter, corpus: Path, tmp_path: Path, refused: list[str], rung: str
) -> None:
    source = tmp_path / "articles.jsonl"
    with corpus.open(encoding="utf-8") as lines:
        source.write_text("".join(islice(lines, ROWS)), encoding="utf-8")
    with refusing(base_url, refused) as url:
        spec = OracleSpec(
            name="smollm2", base_url=url, model="m", free=True, concurrency=1, timeout_s=600
        )
        summary = label_file(
            *(danger, source, tmp_path / "out.jsonl"),
            spec=spec,
            project=tmp_path,
            settings=LabelSettings(failure_window=None),
            max_bad=1.0,
        )
    with sqlite3.connect(tmp_path / ".distillery" / "ledger.sqlite") as ledger:
        answered = ledger.execute(
            "SELECT DISTINCT answer_format FROM attempts WHERE state = 'answered'"
        ).fetchall()
        refusals = ledger.execute(
            "SELECT answer_format FROM attempts WHERE failure_kind = 'format' ORDER BY id"
        ).fetchall()
        raw = ledger.execute(
            "SELECT i.state, i.reason, a.raw_answer FROM items i"
            " JOIN attempts a ON a.item_key = i.key WHERE a.state = 'answered'"
        ).fetchall()
    print(f"{rung}: {dict(summary.states)}")
    assert answered == [(rung,)]
    assert refusals == [(name,) for name in refused], "a rung is refused once, not once a question"
    assert sum(summary.states.values()) == ROWS
    assert set(summary.states) <= {"done", "rejected"}
    assert all(text for _, _, text in raw), "the raw answer is kept, usable or not"
    assert all(reason for state, reason, _ in raw if state == "rejected")
