"""Recorded answers: read back as written; of identical texts the first answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.fence import normalised_key
from distillery_core.oracle.recording import Recording, load_recordings


def test_first_of_identical_texts_answers(recording: Recording) -> None:
    assert recording.answers[normalised_key("the FIRST text")].id == "one"
    assert len(recording.answers) == 2


def test_digest_changes_with_the_answers(recording_folder: Path, recording: Recording) -> None:
    answers = recording_folder / "answers.jsonl"
    answers.write_text(answers.read_text().replace('"a":3', '"a":4'))
    assert load_recordings(recording_folder)[0].digest != recording.digest


def test_sub_folders_are_found(recording_folder: Path) -> None:
    assert len(load_recordings(recording_folder.parent)) == 1


def test_broken_line_is_named(recording_folder: Path) -> None:
    answers = recording_folder / "answers.jsonl"
    answers.write_text(answers.read_text() + '{"id": "x"}\n')
    with pytest.raises(UserError, match=r"answers.jsonl:4: not a recorded answer"):
        load_recordings(recording_folder)


def test_folder_without_a_recording(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no recording\.yaml"):
        load_recordings(tmp_path)
