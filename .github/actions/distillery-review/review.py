"""Writes one comment into a pull request and sets a check, from what `distillery report pr` wrote.

    python review.py COMMENT.md RESULT.json

Nothing but the standard library. What it works on comes from the environment of GitHub Actions:
GITHUB_EVENT_PATH, GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN, GITHUB_OUTPUT; and CHECK_NAME,
COMMENT_AUTHOR, FAIL_ON from action.yml. Exit codes: 0 done; 1 the reports' conclusion fails the
job; 2 it could not be told.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARKER = "<!-- distillery-review -->"
PER_PAGE = 100
MAX_PAGES = 50
MAX_COMMENT = 65_536
MAX_SUMMARY = 60_000
TIMEOUT_SECONDS = 30
ATTEMPTS = 3
RETRY_STATUSES = {429, 500, 502, 503, 504}
FORBIDDEN = {401, 403, 404}
FAILS = {
    "failure": {"failure"},
    "action_required": {"failure", "action_required"},
    "never": set(),
}
CONCLUSIONS = {"success", "action_required", "failure", "neutral"}


class Refused(Exception):
    """The API said no; `status` is its code."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"{status}: {message}")


class CannotTell(Exception):
    """Something is missing, or the API does not answer."""


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to another address."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


@dataclass(frozen=True)
class Api:
    """GitHub's REST API for one repository."""

    address: str
    repository: str
    token: str

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request below `/repos/OWNER/NAME`; a busy server is asked again."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(method, path, body)
            except Refused as error:
                if error.status not in RETRY_STATUSES or attempt == ATTEMPTS:
                    raise
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                if attempt == ATTEMPTS:
                    raise CannotTell(f"{self.address} does not answer: {error}") from None
            time.sleep(float(os.environ.get("RETRY_SECONDS", "2")) * attempt)
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - https, or the loopback of a test
            f"{self.address}/repos/{self.repository}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode("utf-8"),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": "distillery-review",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        try:
            opener = urllib.request.build_opener(NoRedirects)
            with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise Refused(error.code, _message(error)) from None


def _checked(address: str) -> str:
    """The API's address: encrypted, or on this machine."""
    if address.startswith(("https://", "http://127.0.0.1:")):
        return address.rstrip("/")
    raise CannotTell(f"GITHUB_API_URL is no https address: {address}")


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return str(error.reason)


@dataclass(frozen=True)
class PullRequest:
    """What the event says of the pull request."""

    number: int
    head_sha: str
    from_fork: bool


def pull_request(event: dict[str, Any]) -> PullRequest:
    """The pull request of an event; the head's repository is null where a fork was deleted."""
    try:
        found = event["pull_request"]
        head, base = found["head"], found["base"]
        own = (head.get("repo") or {}).get("full_name")
        return PullRequest(
            number=int(found["number"]),
            head_sha=str(head["sha"]),
            from_fork=own != base["repo"]["full_name"],
        )
    except (KeyError, TypeError, ValueError):
        raise CannotTell("the event is of no pull request: run this `on: pull_request`") from None


def own_comment(api: Api, number: int, author: str) -> int | None:
    """The comment that is written anew: with our mark, by our account.

    Anyone can write the mark into a comment; somebody else's is never touched.
    """
    for page in range(1, MAX_PAGES + 1):
        path = f"/issues/{number}/comments?per_page={PER_PAGE}&page={page}"
        comments = api.call("GET", path)
        for comment in comments:
            written_by = (comment.get("user") or {}).get("login")
            if written_by == author and str(comment.get("body", "")).startswith(MARKER):
                return int(comment["id"])
        if len(comments) < PER_PAGE:
            return None
    return None


def comment(api: Api, number: int, author: str, body: str) -> str:
    """Write the comment, or write it anew; what was done, in words."""
    known = own_comment(api, number, author)
    if known is None:
        api.call("POST", f"/issues/{number}/comments", {"body": body})
        return "comment written"
    api.call("PATCH", f"/issues/comments/{known}", {"body": body})
    return "comment written anew"


def set_check(api: Api, sha: str, name: str, result: dict[str, Any], body: str) -> str:
    """Set the check on the pull request's head; what was done, in words."""
    output = {
        "title": str(result["title"])[:255],
        "summary": str(result["summary"])[:MAX_SUMMARY],
        "text": body[:MAX_SUMMARY],
    }
    api.call(
        "POST",
        "/check-runs",
        {
            "name": name,
            "head_sha": sha,
            "status": "completed",
            "conclusion": result["conclusion"],
            "output": output,
        },
    )
    return f"check {name}: {result['conclusion']}"


def _attempt(what: str, permission: str, fork: bool, action: Any) -> bool:
    """Do it; whether it was done. A fork's token may only read, which is no mistake."""
    try:
        print(action())
        return True
    except Refused as error:
        if error.status not in FORBIDDEN:
            raise CannotTell(f"{what}: {error}") from None
        if fork:
            print(f"{what}: not allowed from a fork; see the summary of this job")
            return True
        print(_error(f"{what}: {error}. Give the job `permissions: {{{permission}: write}}`"))
        return False


def _error(text: str) -> str:
    """An error as the job's page shows it; a line break would begin another command."""
    return f"::error::{' '.join(text.split())}"


def _environment(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise CannotTell(f"{name} is not set; GitHub Actions sets it")
    return value


def _read_result(path: str) -> dict[str, Any]:
    try:
        result = json.loads(Path(path).read_text(encoding="utf-8"))
        if result["conclusion"] in CONCLUSIONS and result["schema"] == 1:
            return dict(result)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise CannotTell(f"{path} is no result of `distillery report pr --json`")


def _tell(conclusion: str) -> None:
    output = os.environ.get("GITHUB_OUTPUT")
    if output:
        with Path(output).open("a", encoding="utf-8") as handle:
            handle.write(f"conclusion={conclusion}\n")


def review(comment_path: str, result_path: str) -> int:
    """Comment, check, exit code."""
    result = _read_result(result_path)
    body = Path(comment_path).read_text(encoding="utf-8")[:MAX_COMMENT]
    event = json.loads(Path(_environment("GITHUB_EVENT_PATH")).read_text(encoding="utf-8"))
    found = pull_request(event)
    api = Api(
        _checked(os.environ.get("GITHUB_API_URL") or "https://api.github.com"),
        _environment("GITHUB_REPOSITORY"),
        _environment("GITHUB_TOKEN"),
    )
    author = os.environ.get("COMMENT_AUTHOR") or "github-actions[bot]"
    name = os.environ.get("CHECK_NAME") or "distillery"
    _tell(result["conclusion"])
    done = [
        _attempt(
            "comment",
            "pull-requests",
            found.from_fork,
            lambda: comment(api, found.number, author, body),
        ),
        _attempt(
            "check",
            "checks",
            found.from_fork,
            lambda: set_check(api, found.head_sha, name, result, body),
        ),
    ]
    if not all(done):
        return 2
    fails = FAILS.get(os.environ.get("FAIL_ON") or "failure", FAILS["failure"])
    return 1 if result["conclusion"] in fails else 0


def main(arguments: list[str]) -> int:
    """Run with COMMENT.md and RESULT.json."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return review(*arguments)
    except (CannotTell, OSError, ValueError) as error:
        print(_error(str(error)))
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
