"""A new filter loads as it is, and the package check says what is still to be filled in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.errors import UserError
from distillery_core.filters import resolve_filter
from distillery_core.filters.cases import run_cases
from distillery_core.filters.package_check import NOT_READY, GateLook, check_package
from distillery_core.filters.prompt_template import render
from distillery_core.scaffold import new_filter
from distillery_core.scaffold.new_filter import _dimensions


def test_it_loads_and_is_found(tmp_path: Path) -> None:
    made = new_filter(tmp_path, "local_news", ("relevance", "evidence", "impact"))
    assert made.label == "local_news:v1"
    assert made.dimensions == ("relevance", "evidence", "impact")
    assert resolve_filter("local_news", tmp_path).digest == made.digest


def test_its_prompt_sends_the_article_and_names_every_dimension(tmp_path: Path) -> None:
    made = new_filter(tmp_path, "local_news", ("relevance", "evidence"))
    prompt = render(made.prompt_template, made.config, "A title", "A text")
    assert prompt.user.startswith("<article>\nTitle: A title\n\nA text")
    assert "- relevance:" in prompt.system
    assert "- evidence:" in prompt.system


def test_the_check_says_what_is_missing(tmp_path: Path) -> None:
    made = new_filter(tmp_path, "local_news")
    result = check_package(made.folder, lambda _: GateLook(False, ("no report",)))
    assert result.word == NOT_READY
    assert {line.name for line in result.failed} == {"calibration gate", "scope", "examples"}


def test_its_cases_hold(tmp_path: Path) -> None:
    run = run_cases(new_filter(tmp_path, "local_news"))
    assert (run.prefilter, run.failures) == (2, ())


@pytest.mark.parametrize(
    ("name", "dimensions", "message"),
    [
        ("Local News", ("a", "b"), "'local_news' would do"),
        ("class", ("a", "b"), "not a lower-case identifier"),
        ("../up", ("a", "b"), "'up' would do"),
        ("x", ("a", "Über B"), "not a lower-case identifier"),
        ("x", ("a", "a"), "given twice"),
        ("x", ("a",), "at least 2"),
        ("x", ("a", "reasoning"), "the answer's own key"),
    ],
)
def test_refused(tmp_path: Path, name: str, dimensions: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        new_filter(tmp_path, name, dimensions)
    assert not list(tmp_path.rglob("*"))


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    new_filter(tmp_path, "local_news")
    with pytest.raises(UserError, match="nothing is overwritten"):
        new_filter(tmp_path, "local_news")


@given(st.integers(2, 30))
def test_weights_sum_to_one(count: int) -> None:
    block = _dimensions([f"d{index}" for index in range(count)])
    weights = [float(line.split()[1]) for line in block.splitlines() if "weight:" in line]
    assert sum(weights) == pytest.approx(1.0)
    assert all(weight >= 0 for weight in weights)
