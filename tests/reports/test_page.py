"""The page in a real browser: nothing runs but its own script, it sorts, and it fits a phone."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.filters import load_filter
from distillery_core.reports.page import MAX_LISTED
from distillery_core.reports.svg import MAX_DRAWN
from distillery_core.stages.project import Project
from distillery_core.stages.report import write_page

JudgedProject = Callable[..., Project]

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

HOSTILE = (
    "</script><script>document.title=1</script><img src=x onerror=document.title=2>"
    "[x](javascript:document.title=3)"
)


def _page(project: Project) -> Path:
    return write_page(project, load_filter(project.root / "filters/floods/v1"))


def _dom(page: Path, *flags: str) -> str:
    assert BROWSER is not None
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000",
        "--allow-file-access-from-files", *flags, "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def _with_script(page: Path, script: str) -> Path:
    """The page with a script that its policy is told of, as a reader's hand at the mouse."""
    text = page.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = text.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    changed = page.with_name("scripted.html")
    changed.write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    return changed


def test_it_holds_everything_and_fetches_nothing(judged_project: JudgedProject) -> None:
    text = _page(judged_project()).read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", text)
    assert "@import" not in text and "url(" not in text and "style=" not in text
    assert "default-src &#39;none&#39;" in text
    assert text.count('<circle class="pt"') == 3 * 240
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text
    assert all(f">{name}</td>" in text for name in ("Test MAE", "Skill", "Leak"))


def test_the_same_reports_give_the_same_page(judged_project: JudgedProject) -> None:
    one, two = (_page(judged_project(name)).read_bytes() for name in ("one", "two"))
    assert one == two


def test_its_numbers_are_the_reports(judged_project: JudgedProject) -> None:
    project = judged_project()
    body = (project.root / "filters/floods/v1/model_evaluation.md").read_text(encoding="utf-8")
    text = html.unescape(_page(project).read_text(encoding="utf-8"))
    rows = [line for line in body.splitlines() if line.startswith("| Test") or "`harm`" in line]
    numbers = {one for row in rows for one in re.findall(r"(?<![\w.])[+-]?\d+\.\d+", row)}
    assert len(numbers) > 8
    assert all(number in text for number in numbers)


def test_many_articles_are_thinned_out_and_it_says_so(judged_project: JudgedProject) -> None:
    text = _page(judged_project(n=1300)).read_text(encoding="utf-8")
    assert text.count('<circle class="pt"') <= 3 * MAX_DRAWN
    assert "434 of 1300 test articles" in text
    assert f"the {MAX_LISTED} with the largest error of 1300" in text
    assert len(text) < 1_500_000


def test_a_changed_report_is_told_and_not_shown(judged_project: JudgedProject) -> None:
    project = judged_project()
    record = project.root / "filters/floods/v1/model_evaluation.json"
    record.write_text(record.read_text(encoding="utf-8").replace("0.6", "0.1"), encoding="utf-8")
    text = _page(project).read_text(encoding="utf-8")
    assert "filters/floods/v1/model_evaluation.json: the record was changed" in text
    assert str(project.root) not in text
    assert ">Test MAE</td>" not in text


@needs_browser
def test_hostile_titles_are_inert(judged_project: JudgedProject) -> None:
    page = _page(judged_project(title=HOSTILE))
    dom = _dom(page)
    assert "<title>floods:v1: " in dom
    assert dom.count("<script") == 2 and "<img" not in dom
    assert "&lt;img src=x onerror=document.title=2&gt;" in dom  # as text


@needs_browser
def test_the_policy_stops_a_script_that_is_not_the_pages_own(judged_project: JudgedProject) -> None:
    page = _page(judged_project())
    spoilt = page.with_name("spoilt.html")
    extra = "<script>document.title='owned'</script><p onclick='1'>x</p></body>"
    spoilt.write_text(page.read_text(encoding="utf-8").replace("</body>", extra), encoding="utf-8")
    assert "<title>floods:v1: " in _dom(spoilt)


@needs_browser
def test_tables_sort_and_points_tell_which_article_they_are(judged_project: JudgedProject) -> None:
    script = """
      var table = Array.from(document.querySelectorAll("table")).find(function (one) {
        return /^article.*difference/.test(one.tHead.textContent);
      });
      var buttons = table.querySelectorAll("th button");
      var column = function (at) {
        return Array.from(table.tBodies[0].rows).slice(0, 3).map(function (row) {
          return row.cells[at].textContent;
        }).join(",");
      };
      var told = [];
      buttons[1].click();
      told.push(column(1), table.querySelector("[aria-sort=descending]").textContent);
      buttons[1].click(); told.push(column(1));
      buttons[0].click(); told.push(column(0));
      document.querySelector('.pt[data-a="7"]').dispatchEvent(new Event("click", {bubbles: true}));
      told.push(document.querySelector(".tip").textContent);
      told.push(document.querySelectorAll(".pt.on").length);
      document.body.insertAdjacentHTML("beforeend", "<pre id=told></pre>");
      document.getElementById("told").textContent = JSON.stringify(told);
    """
    dom = _dom(_with_script(_page(judged_project(n=30)), script))
    found = re.search(r'<pre id="told">(.*?)</pre>', dom)
    assert found is not None
    highest, name, lowest, first, tip, lit = json.loads(html.unescape(found[1]))
    numbers = [float(one) for one in highest.split(",")]
    assert numbers == sorted(numbers, reverse=True) and name == "labelled"
    assert float(lowest.split(",")[0]) < numbers[-1]
    assert first.split(",") == ["Title 0", "Title 1", "Title 10"]
    assert re.fullmatch(r"Title 7: label \d\.\d+, prediction \d\.\d+", tip)
    assert lit == 3


@needs_browser
def test_it_fits_a_phone(judged_project: JudgedProject, tmp_path: Path) -> None:
    page = _page(judged_project(n=30))
    frame = tmp_path / "phone.html"
    frame.write_text(
        f'<iframe id=f src="{page.as_uri()}" width=375 height=700></iframe><pre id=told></pre>'
        "<script>document.getElementById('f').onload = function () {"
        "var d = this.contentDocument; d.querySelectorAll('details').forEach(function (one) "
        "{ one.open = true; }); document.getElementById('told').textContent = "
        "d.documentElement.scrollWidth + ' ' + d.documentElement.clientWidth + ' ' + "
        "d.querySelectorAll('th:not([scope])').length + ' ' + "
        "d.querySelectorAll('svg:not([aria-label]), img:not([alt])').length; }</script>",
        encoding="utf-8",
    )
    found = re.search(r'<pre id="told">(\d+) (\d+) (\d+) (\d+)</pre>', _dom(frame))
    assert found is not None
    wide, screen, without_scope, without_words = map(int, found.groups())
    assert wide <= screen <= 375
    assert (without_scope, without_words) == (0, 0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: str) -> None:
    """WCAG 2.1: a contrast of at least 4.5 to 1."""
    from distillery_core.reports import page

    css = (Path(page.__file__).parent / "page.css").read_text(encoding="utf-8")
    light, dark = css.split("@media (prefers-color-scheme: dark)")
    block = light if scheme == "light" else dark.split("* { box-sizing")[0]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for text, ground in (
        ("text", "page"), ("text", "sheet"), ("soft", "page"), ("soft", "sheet"), ("text", "code"),
        ("link", "sheet"), ("ok", "sheet"), ("review", "sheet"), ("fail", "sheet"),
        ("ok", "ok-ground"), ("review", "review-ground"), ("fail", "fail-ground"),
        ("text", "ok-ground"), ("text", "review-ground"), ("text", "fail-ground"),
    ):  # fmt: skip
        assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def _contrast(one: str, other: str) -> float:
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance of sRGB (WCAG 2.1)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
