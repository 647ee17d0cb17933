"""References to inputs and the small values between steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.steps.verdict import FileRef, Permit, Verdict
from distillery_core.types import Level
from distillery_core.verdicts import Decision
from distillery_core.verdicts.judgement import LineResult


def test_a_reference_notices_that_its_file_changed(tmp_path: Path) -> None:
    path = tmp_path / "articles.jsonl"
    path.write_text("{}\n", encoding="utf-8")
    reference = FileRef.of(path)
    assert reference.checked() == path
    path.write_text("{}\n{}\n", encoding="utf-8")
    with pytest.raises(UserError, match="changed while"):
        reference.checked()


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        FileRef.of(tmp_path / "nothing.jsonl")
    with pytest.raises(UserError, match="is a folder"):
        FileRef.of(tmp_path)


def test_a_verdict_names_its_reasons() -> None:
    line = LineResult("misses", "On-topic misses", Level.FAIL, "40 %, fails at > 30 %")
    decision = Decision(Level.FAIL, "FAIL", line, (line,), Level.FAIL, "general")
    verdict = Verdict.of("calibration", decision)
    assert verdict.reasons == ("On-topic misses: 40 %, fails at > 30 %",)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_a_permit_does_not_say_when_or_by_whom() -> None:
    assert set(Permit.model_fields) == {"gate", "filter"}
