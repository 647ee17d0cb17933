"""A report that was edited by hand closes its gate; `label` says which and why, and exits 1."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

LABEL = ("label", "--filter", "crisis", "--input", "articles.jsonl", "--output", "out.jsonl")


def _other_verdict(match: re.Match[str]) -> str:
    return "verdict: REVIEW" if match[1] == "PASS" else "verdict: PASS"


EDITS: dict[str, tuple[Callable[[str], str], str]] = {
    "another word in the text": (
        lambda text: text[:-200] + text[-200:].replace("a", "e", 1),
        "the text was changed after it was written",
    ),
    "a line more": (
        lambda text: f"{text}All fine, says the boss.\n",
        "the text was changed after it was written",
    ),
    "another verdict": (
        lambda text: re.sub(r"(?m)^verdict: (\w+)", _other_verdict, text, count=1),
        "the front matter was changed after it was written",
    ),
    "another hash": (
        lambda text: text.replace("prompt_sha256: ", "prompt_sha256: 0", 1),
        "the front matter was changed after it was written",
    ),
    "no front matter": (
        lambda text: text.split("---\n", 2)[2],
        "no report: the front matter between two --- is missing",
    ),
    "nothing": (lambda _: "", "no report"),
}


@pytest.mark.slow
def test_label_stays_closed_until_the_report_is_as_it_was_written(kit: Any) -> None:
    crisis = pytest.importorskip("distillery_filter_crisis.corpus")
    kit.write_rows(kit.project / "articles.jsonl", list(crisis.articles()))
    entry = {"provider": "replay", "recording": "plugin", "model": "recorded"}
    entry |= {"price_of": "gemini-2.5-flash", "paid": False}
    text = json.dumps({"oracles": {"recorded": entry}})
    (kit.project / "oracles.yaml").write_text(text, encoding="utf-8")
    calibrate = ("calibrate", "--filter", "crisis", "--input", "articles.jsonl")
    assert kit.run(*calibrate).code == 0
    assert kit.run(*calibrate, "--validate").code == 1
    approve = ("approve", "--filter", "crisis", "--report", "validation", "--why", "read it")
    assert kit.run(*approve).code == 0
    gate = ("gate", "check", "crisis", "--gate", "calibration")
    assert kit.run(*gate).code == 0

    home = kit.project / "filters" / "crisis" / "v1"
    for name in ("calibration_report.md", "validation_report.md"):
        report = home / name
        written = report.read_text(encoding="utf-8")
        for what, (edit, reason) in EDITS.items():
            edited = edit(written)
            assert edited != written, what
            report.write_text(edited, encoding="utf-8")
            before = kit.snapshot()
            outcome = kit.run(*LABEL)
            assert (outcome.code, outcome.out) == (1, ""), what
            assert "refused: labelling with crisis:v1: the gate is closed" in outcome.err
            assert name in outcome.err
            assert reason in outcome.err
            assert "-> distillery calibrate --filter" in outcome.err
            assert kit.run(*gate).code == 1
            assert kit.snapshot() == before
        report.write_text(written, encoding="utf-8")
    assert kit.run(*gate).code == 0
