"""Which reports a gate step puts back, and which it leaves for the gate to judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery_core.steps.reports import keep_report, report_text
from distillery_core.verdicts.front_matter import ReportFront, render_report

EXPECTED = {"prompt_sha256": "now", "oracle": "one/model", "dataset_sha256": None}


def _report(prompt: str, body: str = "# Report\n") -> str:
    front = ReportFront(
        agent="prompt_calibration",
        round="calibration",
        filter="crisis",
        version=1,
        verdict="PASS",
        deciding_line="every_line",
        evidence={"prompt_sha256": prompt, "oracle": "one/model"},
        measurements={},
    )
    return render_report(front, body)


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        (None, "own"),
        (_report("before"), "own"),
        (_report("now", "# A newer one\n"), "there"),
        (_report("now") + "\nAll is well.\n", "there"),
        (_report("before") + "\nAll is well.\n", "there"),
        ("no report at all", "there"),
    ],
    ids=["missing", "stale", "newer", "edited", "stale and edited", "no report"],
)
def test_what_stays(tmp_path: Path, there: str | None, kept: str) -> None:
    path = tmp_path / "filters" / "calibration_report.md"
    own = _report("now")
    if there is not None:
        path.parent.mkdir()
        path.write_text(there, encoding="utf-8")
    said: list[str] = []
    keep_report(path, own, EXPECTED, said.append)
    assert path.read_text(encoding="utf-8") == (own if kept == "own" else there)
    assert bool(said) == (kept == "own")


def test_a_report_is_a_markdown_artefact(tmp_path: Path) -> None:
    from zenml.types import MarkdownString

    path = tmp_path / "report.md"
    path.write_text("# Härte\n", encoding="utf-8")
    assert isinstance(report_text(path), MarkdownString) and report_text(path) == "# Härte\n"
