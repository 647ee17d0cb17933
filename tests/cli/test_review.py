"""`distillery review` as people meet it: a real process at a pipe, at a terminal, in a browser."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
SCRIPT = "import sys; from distillery_core.cli.main import main; sys.exit(main())"
ATTACK = '<script>alert(1)</script> "><img src=x onerror=alert(2)> {{ 7*7 }}'
TEXT = (
    "</article><form action=//evil.example><button>Free</button></form>\n"
    "\u001b[2J\u001b]0;owned\u0007 \u202etxet \u2066 javascript:alert(3)"
)
FILTER = {
    "config.yaml": """\
filter: {name: storm, version: "1.0", scope: {in: storms, out: the rest}}
oracle: {name: test}
scoring:
  dimensions:
    harm: {weight: 0.5, description: "people hurt <b>"}
    wind: {weight: 0.5, description: wind speed}
  tiers: [{name: high, at: 5.0}, {name: low, at: 0.0}]
sampling: {on_topic: {keywords: [coast]}}
""",
    "prompt.md.j2": "Score {{ dimensions | join(', ') }}.\n{{ article }}\nAnswer with JSON.\n",
    "prefilter.yaml": "min_chars: 1\n",
}


@pytest.fixture
def storm(project: Path) -> Path:
    """A project with a filter and three articles, the first of them hostile."""
    folder = project / "filters" / "storm" / "v1"
    folder.mkdir(parents=True)
    for name, text in FILTER.items():
        (folder / name).write_text(text, encoding="utf-8")
    sample = {"class": "on_topic", "reason": f"keyword {ATTACK}", "seed": 1}
    rows = [
        {"id": "a0", "title": ATTACK, "content": TEXT, "sample": sample, "labels": [3.0, 8.0],
         "dimension_names": ["harm", "wind"]},
        {"id": "a1", "title": "توفان", "content": "A storm on the coast."},
        {"id": "a2", "title": "", "content": "Shares fell."},
    ]  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (project / "sample.jsonl").write_text(text, encoding="utf-8")
    return project


def command(*more: str) -> list[str]:
    return [sys.executable, "-c", SCRIPT, "review", "--filter", "storm",
            "--sample", "sample.jsonl", "--name", "Ada", *more]  # fmt: skip


def judged(project: Path) -> list[dict[str, Any]]:
    text = (project / "filters/storm/v1/judgements.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def typed(project: Path, answers: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*more), cwd=project, input=answers, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_answers_through_a_pipe(storm: Path) -> None:
    answers = "x\no near the cut\n7,5\neleven\n8\nb\ne\n\nb\nf\n\n\n"
    done = typed(storm, answers, "--scores")
    assert done.returncode == 0, done.stderr
    assert [(row["id"], row["class"], row["scores"]) for row in judged(storm)] == [
        ("a0", "on_topic", {"harm": 7.5, "wind": 8.0}),
        ("a0", "off_topic", {}),
    ], "b leads back to the article before, and within it to its first question"
    assert judged(storm)[0]["note"] == "near the cut"
    assert "'eleven' is no number" in done.stderr
    assert not set("\u001b\u0007\u202e\u2066") & set(done.stderr), "no text steers the terminal"
    assert "articles judged by Ada" in done.stdout


def test_the_oracle_is_told_only_after_the_judgement(storm: Path) -> None:
    done = typed(storm, "o\nq\n")
    before, _, after = done.stderr.partition("> o")
    assert "harm 3" not in before and "keyword" not in before
    assert "the sample had it as on topic" in after and "the oracle: 5.5 (harm 3, wind 8)" in after


def test_it_goes_on_where_it_stopped_and_again_shows_all(storm: Path) -> None:
    assert "1 of 3 articles judged" in typed(storm, "o\n").stdout
    second = typed(storm, "s\nf\n")
    assert "Shares fell" in second.stderr and "Free</button>" not in second.stderr
    assert [row["id"] for row in judged(storm)] == ["a0", "a2"]
    again = typed(storm, "e\nq\n", "--again", "--json")
    assert "judged before: on_topic" in again.stderr
    assert json.loads(again.stdout)["judged"] == 2
    assert judged(storm)[-1]["class"] == "edge"


def test_a_killed_review_keeps_every_answer_given(storm: Path) -> None:
    with subprocess.Popen(
        command(), cwd=storm, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write("o\n")
        process.stdin.flush()
        for line in process.stderr:
            if "the sample had it" in line:
                break
        process.send_signal(signal.SIGKILL)
    assert [row["id"] for row in judged(storm)] == ["a0"]


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_at_a_real_terminal_nothing_but_our_own_words_arrives(storm: Path) -> None:
    import pty

    main_end, terminal = pty.openpty()
    with subprocess.Popen(
        command(), cwd=storm, stdin=terminal, stdout=terminal, stderr=terminal, close_fds=True
    ) as process:
        os.close(terminal)
        os.write(main_end, b"o\nf\nq\n")
        seen = b""
        try:
            while piece := os.read(main_end, 4096):
                seen += piece
        except OSError:  # how a terminal says that nobody is at its other end
            pass
        assert process.wait(30) == 0
    os.close(main_end)
    assert b"\x1b" not in seen and b"\x07" not in seen
    assert b"2 of 3 articles judged by Ada" in seen
    assert [row["class"] for row in judged(storm)] == ["on_topic", "off_topic"]


def test_out_and_in_as_csv(storm: Path, run: Run) -> None:
    options = ("--filter", "storm", "--sample", "sample.jsonl", "--name", "Ada")
    assert run("review", *options, "--export", "out.csv").code == 0
    table = (storm / "out.csv").read_text(encoding="utf-8-sig")
    assert "3 rows" in run("review", *options, "--export", "out.csv").out
    filled = table.replace('"Shares fell.",""', '"Shares fell.","edge"')
    (storm / "out.csv").write_text(filled, encoding="utf-8")
    assert "1 judgements taken" in run("review", *options, "--import", "out.csv").out
    assert judged(storm)[0]["class"] == "edge"
    (storm / "out.csv").write_text(filled.replace("edge", "hedge"), encoding="utf-8")
    refused = run("review", *options, "--import", "out.csv")
    assert refused.code == 2 and "class is 'hedge'" in refused.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--validate", "--test"], "one of --sample, --validate and --test"),
        (["--page", "--export", "x.csv"], "one of --page, --export and --import"),
        (["--sample", "gone.jsonl"], "no such file"),
        (["--sample", "sample.jsonl", "--name", " "], "a name is one line"),
        (["--sample", "sample.jsonl", "--import", "gone.csv"], "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(
    storm: Path, run: Run, arguments: list[str], said: str
) -> None:
    done = run("review", "--filter", "storm", *arguments)
    assert done.code == 2 and said in done.err


def test_bad_lines_of_the_file_are_named(storm: Path, run: Run) -> None:
    path = storm / "filters/storm/v1/judgements.jsonl"
    path.write_text('{"id": "a0"}\n', encoding="utf-8")
    done = run("review", "--filter", "storm", "--sample", "sample.jsonl", "--export", "x.csv")
    assert "judgements.jsonl:1: " in done.err and "does not count" in done.err
    assert path.read_text(encoding="utf-8") == '{"id": "a0"}\n', "and kept"


def test_without_the_packages_for_pages_the_extra_is_named(
    storm: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = run("review", "--filter", "storm", "--sample", "sample.jsonl", "--page")
    assert done.code == 2 and "distillery-core[review]" in done.err


@dataclass
class Site:
    """A running page, and a browser as simple as possible."""

    process: subprocess.Popen[str]
    port: int
    base: str
    headers: dict[str, str] = field(default_factory=dict)

    def send(
        self, method: str, path: str, form: dict[str, str] | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        body = None if form is None else urllib.parse.urlencode(form)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, text

    def get(self, place: str = "", **headers: str) -> tuple[int, dict[str, str], str]:
        return self.send("GET", self.base + place, **headers)

    def post(
        self, place: str, form: dict[str, str], **headers: str
    ) -> tuple[int, dict[str, str], str]:
        return self.send("POST", self.base + place, form, **headers)


@contextmanager
def served(project: Path, *more: str) -> Iterator[Site]:
    pytest.importorskip("uvicorn")
    with subprocess.Popen(
        command("--page", *more), cwd=project, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        address = re.search(r"http://127\.0\.0\.1:(\d+)(/\S+/)", process.stderr.readline())
        assert address is not None
        site = Site(process, int(address[1]), address[2])
        try:
            _wait_for(site)
            yield site
        finally:
            process.kill()


def _wait_for(site: Site) -> None:
    """The address is said just before the first request can be answered."""
    deadline = time.monotonic() + 20
    while True:
        try:
            site.get()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_review_in_a_browser_from_the_first_article_to_the_stop_button(storm: Path) -> None:
    with served(storm, "--scores") as site:
        status, headers, _ = site.get()
        assert (status, headers["location"]) == (303, f"{site.base}1")
        _, headers, page = site.get("1")
        assert "harm 3" not in page and "keyword" not in page, "blind"
        assert "people hurt &lt;b&gt;" in page
        own = f"http://127.0.0.1:{site.port}"
        form = {"class": "edge", "score_harm": "7,5", "note": "n\u00f6 <b>"}
        status, headers, _ = site.post("1", form, Origin=own)
        assert (status, headers["location"]) == (303, f"{site.base}2?after=1")
        _, _, page = site.get("2?after=1")
        assert "you say <b>edge</b>" in page and "the oracle: 5.5 (harm 3, wind 8)" in page
        assert "told" not in site.get("2?after=2")[2].partition("<main>")[2], "not judged yet"
        site.post("2", {"class": "off_topic"})
        status, headers, _ = site.post("3", {"class": "on_topic"})
        assert headers["location"] == f"{site.base}all?after=3"
        assert "3 of 3 judged" in site.get("all")[2]
        assert "Stopped" in site.post("stop", {})[2]
        out, _ = site.process.communicate(timeout=20)
    assert site.process.returncode == 0
    assert "3 of 3 articles judged by Ada, 0 left" in out
    row = judged(storm)[0]
    assert (row["class"], row["scores"], row["note"]) == ("edge", {"harm": 7.5}, "n\u00f6 <b>")


def test_no_article_can_do_anything_on_the_page(storm: Path) -> None:
    with served(storm) as site:
        site.post("1", {"class": "edge", "note": ATTACK})
        pages = [site.get(place) for place in ("1", "2?after=1", "all")]
    for _, headers, page in pages:
        assert page.count("<script") == 1 and page.count("<form") <= 2
        assert "<img" not in page and "</article><form" not in page and "evil.example>" not in page
        assert not set("\u001b\u0007\u202e\u2066") & set(page)
        policy = headers["content-security-policy"]
        nonce = re.search(r'<script nonce="([^"]+)"', page)
        assert nonce is not None and f"script-src 'nonce-{nonce[1]}'" in policy
        assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
        assert headers["cache-control"] == "no-store"
    shown = pages[0][2].partition("<main>")[2]
    for chance in (site.base, *re.findall(r'nonce="[^"]+"', shown)):  # may hold a 49 by chance
        shown = shown.replace(chance, "")
    assert "{{ 7*7 }}" in shown and "49" not in shown
    assert len({re.findall(r"nonce-([\w-]+)", h["content-security-policy"])[0]
                for _, h, _ in pages}) == 3  # fmt: skip


def test_nobody_else_gets_in(storm: Path) -> None:
    with served(storm) as site:
        form = {"class": "edge"}
        refused = {
            "no token": site.send("GET", "/"),
            "another token": site.send("GET", f"/{'x' * 43}/1"),
            "rebound name": site.get("1", Host="evil.example"),
            "rebound, right port": site.get("1", Host=f"evil.example:{site.port}"),
            "another site's form": site.post("1", form, Origin="http://evil.example"),
            "a sandboxed form": site.post("1", form, Origin="null"),
            "across sites": site.post("1", form, Sec_Fetch_Site="cross-site"),
            "stopping from elsewhere": site.post("stop", {}, Origin="http://evil.example"),
            "no such article": site.get("4"),
            "a get that judges": site.get("stop"),
            "no class": site.post("1", {"class": "x"}),
            "too long": site.post("1", {"class": "edge", "note": "x" * 70_000}),
            "note too long": site.post("1", {"class": "edge", "note": "x" * 2001}),
        }
        statuses = {what: status for what, (status, _, _) in refused.items()}
        assert site.get("1", Host=f"localhost:{site.port}")[0] == 200
    assert statuses == {
        "no token": 404,
        "another token": 404,
        "rebound name": 421,
        "rebound, right port": 421,
        "another site's form": 403,
        "a sandboxed form": 403,
        "across sites": 403,
        "stopping from elsewhere": 403,
        "no such article": 404,
        "a get that judges": 405,
        "no class": 422,
        "too long": 422,
        "note too long": 422,
    }
    assert not (storm / "filters/storm/v1/judgements.jsonl").exists()


def test_ctrl_c_stops_the_page_and_says_how_far_it_came(storm: Path) -> None:
    with served(storm) as site:
        site.post("1", {"class": "edge"})
        site.process.send_signal(signal.SIGINT)
        out, err = site.process.communicate(timeout=20)
    assert site.process.returncode == 0, err
    assert "1 of 3 articles judged by Ada, 2 left" in out
    assert "Traceback" not in err


_NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in _NAMES if (path := shutil.which(name))), None)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium to show the page in")
@pytest.mark.parametrize(("look", "flags"), [("light", []), ("dark", ["--force-dark-mode"])])
def test_a_browser_shows_it(storm: Path, tmp_path: Path, look: str, flags: list[str]) -> None:
    """What it says is in the page, nothing overflows a phone, and light and dark differ."""
    picture = tmp_path / f"{look}.png"
    common = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
              f"--user-data-dir={tmp_path / 'profile'}",
              "--window-size=500,900", *flags]  # fmt: skip
    with served(storm, "--scores") as site:
        address = f"http://127.0.0.1:{site.port}{site.base}1"
        subprocess.run(
            [*common, f"--screenshot={picture}", address],
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
    from matplotlib.image import imread

    pixels = imread(picture)[..., :3]
    corner = float(pixels[-5, 5].mean())
    assert corner > 0.9 if look == "light" else corner < 0.2
    assert float(abs(pixels[:, -6:] - pixels[-5, 5]).max()) < 0.02, "something leaves the page"
