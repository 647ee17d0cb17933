from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from pydantic import RootModel

from distillery_core.errors import UserError
from distillery_core.verdicts.sealed_yaml import MAX_CHARS, dump_yaml, parse_untrusted

PATH = Path("report.md")


class Anything(RootModel[Any]):
    pass


def test_plain_data():
    assert parse_untrusted("a: [1, two]", Anything, PATH).root == {"a": [1, "two"]}


def test_one_object_twice_is_written_twice():
    inner = {"a": 1}
    text = dump_yaml([inner, inner])
    assert parse_untrusted(text, Anything, PATH).root == [inner, inner]


@pytest.mark.parametrize(
    "text", ["\x85", "a\u2028b", "\ufeff", "\r", "a\n---\nb", "1e5", "2026-01-01", "~"]
)
def test_texts_come_back(text):
    value = {text or "x": text, "list": [text]}
    assert parse_untrusted(dump_yaml(value), Anything, PATH).root == value


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in itertools.pairwise("abcdefghijklmnopqrstu")
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases"),
        ("a: !!python/object/apply:os.system [id]", "tags"),
        ("a: !!str 1", "tags"),
        ("[" * 5000 + "]" * 5000, "nested deeper"),
        ("a: 1\na: 2", "given twice"),
        ("a: [1", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
        ("#" * (MAX_CHARS + 1), "characters of YAML"),
    ],
)
def test_tricks_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_untrusted(text, Anything, PATH)
