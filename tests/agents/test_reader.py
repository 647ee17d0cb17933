"""The reader over a real HTTP connection, the real client and a real ledger."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from distillery_core.agents.reader import Inquiry, LedgerReader, Question, Unanswered
from distillery_core.agents.reading import check_reading, reading_schema
from distillery_core.errors import UserError
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_report import money
from distillery_core.oracle.questions import AskSettings
from distillery_core.oracle.spec import OracleSpec

GOOD = {"summary": "Fine.", "root_causes": [], "recommendations": [], "lower_to": None}


class _Server(ThreadingHTTPServer):
    """Speaks chat completions; gives the texts of `replies` in turn, the last one for ever."""

    replies: list[str]
    requests: list[dict[str, Any]]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        self.server.requests.append(json.loads(self.rfile.read(size)))
        replies = self.server.replies
        text = replies.pop(0) if len(replies) > 1 else replies[0]
        body = json.dumps(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": "m",
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": text},
                    }
                ],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    made = _Server(("127.0.0.1", 0), _Handler)
    made.replies, made.requests = [json.dumps(GOOD)], []
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def _reader(server: _Server, ledger: Ledger, **changes: Any) -> LedgerReader:
    spec = OracleSpec.model_validate(
        {
            "name": "local",
            "model": "reader-1",
            "base_url": f"http://127.0.0.1:{server.server_port}/v1",
            "price": {"input": 1.0, "output": 2.0, "as_of": "2026-01-01"},
        }
    )
    return LedgerReader(spec, ledger, "floods:v1", environ={}, **changes)


def _inquiry(*users: str) -> Inquiry:
    return Inquiry(
        questions=[Question(user, "You review.", user) for user in users],
        schema=reading_schema(False),
        schema_name="reading",
        max_output_tokens=500,
        temperature=0.0,
        check=check_reading,
    )


def test_a_question_is_asked_and_paid_for_once(server: _Server, ledger: Ledger) -> None:
    reader = _reader(server, ledger)
    assert reader.ask(_inquiry("evidence")) == [GOOD]
    assert reader.ask(_inquiry("evidence")) == [GOOD]
    assert len(server.requests) == 1
    assert money(ledger, "floods:v1").spent_usd == pytest.approx(120e-6)
    assert server.requests[0]["response_format"]["json_schema"]["name"] == "reading"
    assert reader.name == "reader-1"


def test_answers_come_in_the_questions_order(server: _Server, ledger: Ledger) -> None:
    answers = _reader(server, ledger).ask(_inquiry("one", "two", "three"))
    assert answers == [GOOD] * 3
    assert len(server.requests) == 3


def test_an_answer_of_another_form_is_not_taken(server: _Server, ledger: Ledger) -> None:
    server.replies = [json.dumps({"summary": "x", "verdict": "PASS"})]
    [answer] = _reader(server, ledger).ask(_inquiry("evidence"))
    assert isinstance(answer, Unanswered)
    assert "verdict" in answer.reason


def test_the_budget_holds_for_readings_too(server: _Server, ledger: Ledger) -> None:
    reader = _reader(server, ledger, settings=AskSettings(budget_usd=0.000001))
    [answer] = reader.ask(_inquiry("evidence"))
    assert isinstance(answer, Unanswered) and "budget" in answer.reason
    assert server.requests == []


def test_a_price_must_be_known(server: _Server, ledger: Ledger) -> None:
    reader = _reader(server, ledger)
    unpriced = reader.spec.model_copy(update={"price": None})
    with pytest.raises(UserError, match="no price is known"):
        LedgerReader(unpriced, ledger, "floods:v1", environ={}).ask(_inquiry("evidence"))
