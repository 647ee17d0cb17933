"""The package check: each line fires, and the word follows from the lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.filters.package_check import (
    NOT_READY,
    READY,
    REVIEW,
    GateLook,
    PackageCheck,
    check_package,
)

MakeFilter = Callable[..., Path]
SCOPE = 'scope: {in: "poems", out: "prose"}'
EXAMPLE = "{text: A poem., scores: {joy: 5, depth: 5, proof: 5}, why: It is.}"
COMPLETE = (SCOPE, f"{SCOPE}\n  examples: [{EXAMPLE}, {EXAMPLE}, {EXAMPLE}]")
CASES = "prefilter: [{name: passes, article: {content: A poem.}}]"


def _open(_: object) -> GateLook:
    return GateLook(open=True)


@pytest.fixture
def complete(make_filter: MakeFilter) -> Path:
    folder = make_filter(COMPLETE, cases=CASES)
    (folder / "README.md").write_text("# mood\n", encoding="utf-8")
    return folder


def _failed(check: PackageCheck) -> list[str]:
    return [line.name for line in check.failed]


def _replace(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_complete_package_is_ready(complete: Path) -> None:
    check = check_package(complete, _open)
    assert (check.word, check.failed) == (READY, ())
    assert [line.name for line in check.lines if line.critical] == [
        "config",
        "prompt",
        "README",
        "calibration gate",
        "classes file",
    ]


def test_config_that_does_not_load(complete: Path) -> None:
    _replace(complete, "config.yaml", "weight: 0.5", "weight: 0.4")
    check = check_package(complete, _open)
    assert (check.word, _failed(check)) == (NOT_READY, ["config"])
    assert "the weights sum to 0.9" in check.lines[0].detail


def test_prompt_that_does_not_name_a_dimension(complete: Path) -> None:
    (complete / "prompt.md.j2").write_text("Score joy, depths and proof.\n{{ article }}\n")
    check = check_package(complete, _open)
    assert (check.word, _failed(check)) == (NOT_READY, ["prompt"])
    assert check.failed[0].detail == "does not name depth"


@pytest.mark.parametrize("content", [None, " \n"])
def test_missing_or_empty_readme(complete: Path, content: str | None) -> None:
    (complete / "README.md").unlink()
    if content is not None:
        (complete / "README.md").write_text(content, encoding="utf-8")
    check = check_package(complete, _open)
    assert (check.word, _failed(check)) == (NOT_READY, ["README"])


def test_closed_gate(complete: Path) -> None:
    look = GateLook(open=False, reasons=("no calibration report", "no validation report"))
    check = check_package(complete, lambda _: look)
    assert (check.word, _failed(check)) == (NOT_READY, ["calibration gate"])
    assert check.failed[0].detail == "no calibration report; no validation report"


def test_missing_classes_file(complete: Path) -> None:
    _replace(complete, "config.yaml", "oracle:", "sampling: {classes_file: c.jsonl}\noracle:")
    assert _failed(check_package(complete, _open)) == ["classes file"]
    (complete / "c.jsonl").write_text("", encoding="utf-8")
    assert check_package(complete, _open).word == READY


def test_missing_scope(complete: Path) -> None:
    _replace(complete, "config.yaml", SCOPE, "")
    check = check_package(complete, _open)
    assert (check.word, _failed(check)) == (REVIEW, ["scope"])


def test_too_few_complete_examples(complete: Path) -> None:
    _replace(complete, "config.yaml", f"{EXAMPLE}]", "{text: A poem., scores: {joy: 5}}]")
    check = check_package(complete, _open)
    assert (check.word, _failed(check)) == (REVIEW, ["examples"])
    assert check.failed[0].detail == "2 worked examples score every dimension, 3 needed"


@pytest.mark.parametrize(
    ("cases", "detail"),
    [
        ("", "no pre-filter cases in cases.yaml"),
        ("scores: [{name: a, others: 5}]", "no pre-filter cases"),
        (CASES + "\nscores: [{name: a, others: 5, tier: high}]", "scores, a: tier is low"),
        ("prefiltre: []", "did you mean 'prefilter'?"),
    ],
)
def test_missing_failing_or_broken_cases(complete: Path, cases: str, detail: str) -> None:
    (complete / "cases.yaml").write_text(cases, encoding="utf-8")
    check = check_package(complete, _open)
    assert (check.word, _failed(check)) == (REVIEW, ["cases"])
    assert detail in check.failed[0].detail


def test_two_important_lines_are_review_and_three_are_not_ready(complete: Path) -> None:
    (complete / "cases.yaml").unlink()
    _replace(complete, "config.yaml", f"{EXAMPLE}, {EXAMPLE}, {EXAMPLE}", EXAMPLE)
    assert check_package(complete, _open).word == REVIEW
    _replace(complete, "config.yaml", SCOPE, "")
    check = check_package(complete, _open)
    assert (check.word, _failed(check)) == (NOT_READY, ["scope", "examples", "cases"])
