"""The action's script as a process of its own, against a server that answers as GitHub's does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from distillery_core.reports.comment import MARKER, MAX_CHARS

ROOT = Path(__file__).resolve().parents[2]
ACTION = ROOT / ".github/actions/distillery-review"
EVENTS = ROOT / "tests/cases/github"
BOT = "github-actions[bot]"


@dataclass
class Forge:
    """What the server knows and was told; `refuse` maps the end of a path to statuses to answer
    with, one after the other."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    refuse: dict[str, list[int]] = field(default_factory=dict)
    address: str = ""

    def say(self, login: str, body: str) -> None:
        """A comment that is there already."""
        self.comments.append({"id": len(self.comments) + 1, "user": {"login": login}, "body": body})

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """As GitHub's REST API answers."""
        for end, statuses in self.refuse.items():
            if path.split("?", maxsplit=1)[0].endswith(end) and statuses and method != "GET":
                status = statuses.pop(0)
                return status, {"message": "Resource not accessible by integration"}
        if method == "GET" and "/comments" in path:
            query = parse_qs(urlsplit(path).query)
            page, size = int(query["page"][0]), int(query["per_page"][0])
            return 200, self.comments[(page - 1) * size : page * size]
        if method == "POST" and path.endswith("/comments"):
            self.say(BOT, body["body"])
            return 201, self.comments[-1]
        if method == "PATCH":
            number = int(path.rpartition("/")[2])
            self.comments[number - 1]["body"] = body["body"]
            return 200, self.comments[number - 1]
        if method == "POST" and path.endswith("/check-runs"):
            self.checks.append(body)
            return 201, {"id": 1}
        return 404, {"message": "Not Found"}


@pytest.fixture
def forge() -> Iterator[Forge]:
    known = Forge()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            known.asked.append((self.command, self.path))
            known.tokens.add(self.headers.get("Authorization", ""))
            status, value = known.answer(self.command, self.path, json.loads(data or b"null"))
            text = json.dumps(value).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{known.address}/elsewhere")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = _serve  # noqa: N815 - the names http.server wants

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    known.address = f"http://127.0.0.1:{server.server_address[1]}"
    yield known
    server.shutdown()
    server.server_close()


@dataclass
class Script:
    """Runs review.py in a folder of its own."""

    folder: Path
    forge: Forge

    def __call__(
        self, event: str = "own_branch", conclusion: str = "success", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        body = self.folder / "comment.md"
        if not body.exists():
            body.write_text(f"{MARKER}\n## Distillery\n", encoding="utf-8")
        result = {"schema": 1, "conclusion": conclusion, "title": "T", "summary": "S"}
        (self.folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
        clean = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        own = {
            "GITHUB_EVENT_PATH": str(EVENTS / f"{event}.json"),
            "GITHUB_API_URL": self.forge.address,
            "GITHUB_REPOSITORY": "newsroom/filters",
            "GITHUB_TOKEN": "secret-token",
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "RETRY_SECONDS": "0",
        }
        return subprocess.run(
            [sys.executable, "-I", str(ACTION / "review.py"), str(body), "result.json"],
            cwd=self.folder,
            env={**clean, **own, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def script(tmp_path: Path, forge: Forge) -> Script:
    return Script(tmp_path, forge)


def test_one_comment_is_written_and_then_written_anew(script: Script, forge: Forge) -> None:
    first = script()
    assert (first.returncode, first.stderr) == (0, "")
    assert [one["body"] for one in forge.comments] == [f"{MARKER}\n## Distillery\n"]
    (script.folder / "comment.md").write_text(f"{MARKER}\nanother\n", encoding="utf-8")
    second = script()
    assert second.returncode == 0 and "written anew" in second.stdout
    assert [one["body"] for one in forge.comments] == [f"{MARKER}\nanother\n"]
    assert forge.tokens == {"Bearer secret-token"}
    assert "secret-token" not in first.stdout + second.stdout


def test_it_is_found_on_a_later_page(script: Script, forge: Forge) -> None:
    for number in range(230):
        forge.say("ana", f"comment {number}")
    forge.say(BOT, f"{MARKER}\nold")
    assert script().returncode == 0
    assert len(forge.comments) == 231
    assert "old" not in forge.comments[-1]["body"]
    assert sum("page=" in path for _, path in forge.asked) == 3


def test_somebody_elses_comment_with_our_mark_is_never_touched(
    script: Script, forge: Forge
) -> None:
    forge.say("stranger", f"{MARKER}\nlooks fine, merge it")
    forge.say(BOT, f"quoting {MARKER}")
    assert script().returncode == 0
    assert [one["user"]["login"] for one in forge.comments] == ["stranger", BOT, BOT]
    assert forge.comments[0]["body"].endswith("merge it")


def test_the_check_is_set_on_the_head_of_the_pull_request(script: Script, forge: Forge) -> None:
    script(conclusion="action_required", CHECK_NAME="reports")
    [check] = forge.checks
    assert (check["name"], check["conclusion"]) == ("reports", "action_required")
    assert check["head_sha"] == "0f9e8d7c6b5a49382716051403f2e1d0c9b8a796"
    assert check["output"] == {"title": "T", "summary": "S", "text": f"{MARKER}\n## Distillery\n"}
    assert (script.folder / "output").read_text(encoding="utf-8") == "conclusion=action_required\n"


@pytest.mark.parametrize(
    ("conclusion", "fail_on", "code"),
    [
        ("success", "", 0),
        ("neutral", "", 0),
        ("action_required", "", 0),
        ("failure", "", 1),
        ("action_required", "action_required", 1),
        ("failure", "action_required", 1),
        ("failure", "never", 0),
        ("failure", "neverr", 1),
    ],
)
def test_the_job_fails_by_the_conclusion(
    script: Script, conclusion: str, fail_on: str, code: int
) -> None:
    assert script(conclusion=conclusion, FAIL_ON=fail_on).returncode == code


@pytest.mark.parametrize("event", ["fork", "deleted_fork"])
def test_a_fork_may_only_read_and_keeps_the_summary(
    script: Script, forge: Forge, event: str
) -> None:
    forge.refuse = {"/comments": [403], "/check-runs": [403]}
    done = script(event=event)
    assert done.returncode == 0
    assert "comment: not allowed from a fork; see the summary of this job" in done.stdout
    assert (forge.comments, forge.checks) == ([], [])
    forge.refuse = {"/comments": [403], "/check-runs": [403]}
    assert script(event=event, conclusion="failure").returncode == 1


def test_a_missing_permission_is_explained_and_the_rest_is_done(
    script: Script, forge: Forge
) -> None:
    forge.refuse = {"/comments": [403]}
    done = script()
    assert done.returncode == 2
    assert "::error::comment: 403: Resource not accessible by integration." in done.stdout
    assert "`permissions: {pull-requests: write}`" in done.stdout
    assert len(forge.checks) == 1


def test_a_busy_server_is_asked_again(script: Script, forge: Forge) -> None:
    forge.refuse = {"/comments": [502, 503]}
    assert script().returncode == 0
    assert len(forge.comments) == 1
    forge.refuse = {"/check-runs": [500, 500, 500]}
    done = script()
    assert done.returncode == 2 and "::error::check: 500" in done.stdout


def test_a_redirect_does_not_carry_the_token_away(script: Script, forge: Forge) -> None:
    forge.refuse = {"/comments": [302]}
    assert script().returncode == 2
    assert not any("elsewhere" in path for _, path in forge.asked)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"event": "push"}, "run this `on: pull_request`"),
        ({"GITHUB_TOKEN": ""}, "GITHUB_TOKEN is not set"),
        ({"conclusion": "great"}, "is no result of `distillery report pr --json`"),
        ({"GITHUB_API_URL": "http://127.0.0.1:9"}, "does not answer"),
        ({"GITHUB_API_URL": "http://api.example.com"}, "no https address"),
        ({"GITHUB_API_URL": "file:///etc/"}, "no https address"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    script: Script, changes: dict[str, str], said: str
) -> None:
    done = script(**changes)
    assert (done.returncode, done.stderr) == (2, "")
    assert said in done.stdout.splitlines()[-1]


def test_script_and_package_agree() -> None:
    text = (ACTION / "review.py").read_text(encoding="utf-8")
    assert f'MARKER = "{MARKER}"' in text and f"MAX_COMMENT = {MAX_CHARS:_}" in text


def test_the_action_runs_what_exists() -> None:
    action = yaml.safe_load((ACTION / "action.yml").read_text(encoding="utf-8"))
    steps = action["runs"]["steps"]
    assert action["runs"]["using"] == "composite"
    assert all(step["shell"] == "bash" and "uses" not in step for step in steps)
    # What a pull request's author can choose reaches a shell through the environment only.
    assert not any("${{" in step["run"] for step in steps)
    for step in steps:
        subprocess.run(["bash", "-n", "-c", step["run"]], check=True)


def test_the_example_asks_for_no_more_than_it_needs() -> None:
    text = (ACTION / "workflow.example.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert list(workflow[True]) == ["pull_request"]  # YAML 1.1 reads `on` as true
    assert workflow["permissions"] == {
        "contents": "read",
        "pull-requests": "write",
        "checks": "write",
    }
    used = [step["uses"] for step in workflow["jobs"]["review"]["steps"]]
    names = [one.partition("@")[0] for one in used]
    own = "distillery-core/distillery/.github/actions/distillery-review"
    assert names == ["actions/checkout", "actions/setup-python", own]
    assert "secrets." not in text
