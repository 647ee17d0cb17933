"""The doctor reports what it meets, never a key's value, and survives whatever is broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from distillery_core.cli import health
from distillery_core.plugins.manager import Failure, Plugins

CANARY = "sk-canary-7f3a"


def test_a_key_is_set_or_not_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "oracles.yaml").write_text(
        "oracles:\n"
        "  a: {model: m, base_url: http://127.0.0.1:1, api_key_env: CANARY_KEY, free: true}\n"
        "  b: {model: m, base_url: http://127.0.0.1:1, api_key_env: OTHER_KEY, free: true}\n"
        "  c: {model: m, base_url: http://127.0.0.1:1, free: true}\n",
        encoding="utf-8",
    )
    found = list(health._oracles(tmp_path, {"CANARY_KEY": CANARY}))
    assert [(finding.mark, finding.detail) for finding in found] == [
        ("ok", "a: m, CANARY_KEY is set"),
        ("note", "b: m, OTHER_KEY is not set"),
        ("ok", "c: m, needs no key"),
    ]
    assert CANARY not in str(found)


def test_mistakes_in_oracles_yaml_are_found(tmp_path: Path) -> None:
    (tmp_path / "oracles.yaml").write_text("oracles:\n  a: {modl: m}\n", encoding="utf-8")
    (finding,) = health._oracles(tmp_path, {})
    assert finding.mark == "FAIL"
    assert "did you mean 'model'" in finding.detail


def test_a_broken_plugin_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Plugins((), (), {}, {}, (Failure("x", "distillery-x 1.0", "ImportError: y"),))
    monkeypatch.setattr("distillery_core.plugins.manager.load_plugins", lambda: broken)
    (finding,) = health._plugins(tmp_path)
    assert (finding.mark, finding.detail) == (
        "note",
        "broken: x (distillery-x 1.0): ImportError: y",
    )


@pytest.mark.parametrize(
    ("requirement", "tested", "mark"),
    [
        ("pydantic", None, "ok"),
        ("pydantic>=1", "1.0", "note"),
        ("pydantic<1", None, "FAIL"),
        ("no-such-distribution>=2", None, "FAIL"),
    ],
)
def test_package(requirement: str, tested: str | None, mark: str) -> None:
    assert health._package(Requirement(requirement), tested).mark == mark


def test_pins_of_a_constraints_file() -> None:
    text = (
        "# tested\nPyYAML==6.0 ; python_version > '3'\n--extra-index-url x\ntorch==2.13.0  # cpu\n"
    )
    assert dict(health._pins(text)) == {"pyyaml": "6.0", "torch": "2.13.0"}


def test_what_cannot_be_looked_at_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def _device(_: Path) -> None:
        raise RuntimeError("driver too old")

    for name in ("_python", "_packages", "_plugins", "_filters", "_oracles", "_folders", "_disk"):
        monkeypatch.setattr(health, name, lambda _: iter(()))
    monkeypatch.setattr(health, "_device", _device)
    (finding,) = health.examine(tmp_path)
    assert finding == health.Finding("device", "FAIL", "RuntimeError: driver too old")


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "filters").write_text("a file, not a folder", encoding="utf-8")
    marks = {finding.detail: finding.mark for finding in health._folders(tmp_path)}
    assert marks[f"{tmp_path / 'filters'}: cannot be written"] == "FAIL"
    assert marks[f"{tmp_path / 'datasets'}: writable"] == "ok"


def test_little_disk_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2_000_000_000}))
    (finding,) = health._disk(tmp_path)
    assert (finding.mark, finding.detail) == ("note", "2.0 GB free")
