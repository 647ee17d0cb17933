"""config.yaml: every mistake at once, with its line and a suggestion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.errors import UserError, UserErrors
from distillery_core.filters import load_filter

MakeFilter = Callable[..., Path]


def _mistakes(folder: Path) -> list[str]:
    with pytest.raises(UserError) as caught:
        load_filter(folder)
    error = caught.value
    return [e.render() for e in (error.errors if isinstance(error, UserErrors) else [error])]


def test_three_mistakes_are_reported_at_once_with_their_lines(make_filter: MakeFilter) -> None:
    folder = make_filter(
        ("oracle: {name: recorded}", "oracle: {nme: recorded}"),
        ("weight: 0.5", "weight: lots"),
        ("at: 2.5", "at: 25"),
    )
    mistakes = _mistakes(folder)
    config = folder / "config.yaml"
    assert len(mistakes) == 3
    assert f"{config}:6: oracle.nme: unknown key, did you mean 'name'?" in mistakes
    assert any(m.startswith(f"{config}:9: scoring.dimensions.joy.weight:") for m in mistakes)
    assert any(m.startswith(f"{config}:14: scoring.tiers.1.at:") for m in mistakes)


def test_mistakes_of_all_files_are_reported_together(make_filter: MakeFilter) -> None:
    folder = make_filter(("weight: 0.5", "weight: 0.6"), prompt="{% if %}", prefilter="min_char: 9")
    (folder / "cases.yaml").write_text("", encoding="utf-8")
    text = "\n".join(_mistakes(folder))
    assert "config.yaml:8: scoring.dimensions: the weights sum to 1.1" in text
    assert "prefilter.yaml:1: min_char: unknown key, did you mean 'min_chars'?" in text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("weight: 0.5", "weight: 0.4", "the weights sum to 0.9, they must sum to 1"),
        ("weight: 0.5", "weight: .nan", "scoring.dimensions.joy.weight"),
        ("at: 6.0", "at: 2.0", "from the highest to the lowest cut, not: high at 2, low at 2.5"),
        ("at: 0.0", "at: 1.0", "the lowest tier starts at 0, not at 1"),
        ("name: low", "name: high", "two tiers have the same name"),
        ("    joy:", "    Joy!:", "not lower-case identifiers: 'Joy!'"),
        ("    joy:", "    reasoning:", "cannot be a dimension"),
        ("    joy:", "    class:", "not lower-case identifiers: 'class'"),
        ("name: mood", "name: Mood", "not a lower-case identifier"),
        ('version: "1.0"', "version: one", "is not a version such as '1.0'"),
        ('version: "1.0"', 'version: "2.0"', "its folder says v1"),
        ('scope: {in: "poems", out: "prose"}', "scope: {in: poems}", "scope.out: required"),
        ("oracle: {name: recorded}", "orakel: {}", "orakel: unknown key, did you mean 'oracle'?"),
        ("oracle: {name: recorded}", "deployment: {lowest_tier_of_interest: top}", "is no tier"),
        ("oracle: {name: recorded}", "deployment: {kind: needle}", "needs a kind_reason"),
        ("oracle: {name: recorded}", "calibration: {severe_at: 4}", "below on_topic_at"),
        ("oracle: {name: recorded}", "calibration: {validation_seed: 2024}", "are equal"),
        ("oracle: {name: recorded}", "text: {max_chars: 10}", "text.max_chars"),
        ("oracle: {name: recorded}", "sampling: {edge: {patterns: ['(']}}", "regular expression"),
    ],
)
def test_mistake_is_named(make_filter: MakeFilter, old: str, new: str, expected: str) -> None:
    mistakes = _mistakes(make_filter((old, new)))
    assert any(expected in mistake for mistake in mistakes), mistakes
    assert all("config.yaml" in mistake for mistake in mistakes)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("gatekeepers: [{dimension: jo, below: 3, overall_at_most: 3}]", "unknown dimensions: jo"),
        ("caps: [{name: ad, patterns: ['('], overall_at_most: 2}]", "not a regular expression"),
        ("caps: [{name: ad, patterns: [], overall_at_most: 2}]", "scoring.caps.0.patterns"),
        ("penalties: [{name: pr, patterns: [a], subtract: 0}]", "scoring.penalties.0.subtract"),
    ],
)
def test_mistake_in_a_score_rule_is_named(
    make_filter: MakeFilter, rule: str, expected: str
) -> None:
    mistakes = _mistakes(make_filter(("  tiers:", f"  {rule}\n  tiers:")))
    assert len(mistakes) == 1
    assert expected in mistakes[0]


def test_key_given_twice_is_refused(make_filter: MakeFilter) -> None:
    folder = make_filter(("    depth:", '    joy: {weight: 0.5, description: "Again"}\n    depth:'))
    assert _mistakes(folder) == [f"{folder / 'config.yaml'}:10: key 'joy' is given twice"]


@pytest.mark.parametrize(
    "content",
    [
        "filter: [",
        "a: b: c",
        "\x00",
        "filter: &a [*a]",
        "[" * 3000,
        "filter: {{ name }}",
        "? [1, 2]\n: 3",
        "filter: 2026-13-45",
        "filter: 0x_",
        f"filter: {'1' * 5000}",
    ],
    ids=[
        *("unclosed", "mapping in a mapping", "NUL", "alias to itself", "deep"),
        *("bare braces", "a list for a key", "no such day", "no number", "endless number"),
    ],
)
def test_broken_yaml_is_no_traceback(make_filter: MakeFilter, content: str) -> None:
    folder = make_filter()
    (folder / "config.yaml").write_text(content, encoding="utf-8")
    assert all("config.yaml" in mistake for mistake in _mistakes(folder))


@pytest.mark.parametrize("content", ["", "- a list\n", "just words"])
def test_another_shape_is_refused(make_filter: MakeFilter, content: str) -> None:
    folder = make_filter()
    (folder / "config.yaml").write_text(content, encoding="utf-8")
    assert _mistakes(folder)


def test_bytes_that_are_not_utf8_are_refused(make_filter: MakeFilter) -> None:
    folder = make_filter()
    (folder / "config.yaml").write_bytes(b"filter: \xff\xfe")
    assert "not UTF-8" in _mistakes(folder)[0]


def test_bom_and_crlf_just_work(make_filter: MakeFilter) -> None:
    folder = make_filter()
    path = folder / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_filter(folder).label == "mood:v1"
