"""oracles.yaml: every mistake at once, near matches, and no key anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery_core.content import shipped_root
from distillery_core.errors import UserError
from distillery_core.oracle.prices import price_of
from distillery_core.oracle.spec import load_oracles, resolve_oracle

CANARY = "sk-canary-8d1f0a"


def write(folder: Path, text: str) -> Path:
    (folder / "oracles.yaml").write_text(text, encoding="utf-8")
    return folder


def test_every_shipped_oracle_loads_and_has_a_price() -> None:
    oracles = load_oracles(shipped_root())
    assert {"gemini-flash", "openai", "deepseek", "ollama", "vllm", "recorded"} <= set(oracles)
    for name, spec in oracles.items():
        assert spec.name == name
        assert price_of(spec).input >= 0
        assert spec.free or spec.provider == "replay" or spec.api_key_env


def test_near_match_is_offered() -> None:
    with pytest.raises(UserError, match="did you mean gemini-flash"):
        resolve_oracle("gemini_flash", shipped_root())


def test_all_mistakes_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """oracles:
  one:
    modle: x
    model: m
    concurrency: 0
  two:
    model: m
    free: true
    price: {input: 1, output: 1, as_of: 2026-01-01}
"""
    with pytest.raises(UserError) as caught:
        load_oracles(write(tmp_path, text))
    message = str(caught.value)
    assert "oracles.yaml:3" in message
    assert "did you mean 'model'" in message
    assert "concurrency" in message
    assert "declared free and has a price" in message


@pytest.mark.parametrize("name", ["a/b", '"a,b"', '"a b"', '""'])
def test_a_name_that_a_list_or_a_report_could_not_hold_is_refused(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(UserError, match=r"oracles.yaml:2(?s:.)*pattern"):
        load_oracles(write(tmp_path, f"oracles:\n  {name}: {{model: m, free: true}}\n"))


@pytest.mark.parametrize(
    "line",
    [
        f"api_key_env: {CANARY}",
        f"api_key: {CANARY}",
        f"base_url: https://user:{CANARY}@example.org/v1",
        f"base_url: https://example.org/v1?key={CANARY}",
    ],
)
def test_key_in_the_file_is_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    with pytest.raises(UserError) as caught:
        load_oracles(write(tmp_path, f"oracles:\n  one:\n    model: m\n    {line}\n"))
    assert CANARY not in str(caught.value)
    assert "oracles.yaml:4" in str(caught.value)
