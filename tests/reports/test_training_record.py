from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distillery_core.errors import UserError
from distillery_core.reports.training_record import base_name, labelled_by, read_training
from tests.reports.training_files import write_run


def test_a_run_is_read(tmp_path: Path) -> None:
    history = write_run(tmp_path, [1.2, 0.7, 0.9], kept=2)
    found = read_training(history, tmp_path / "training_metadata.json")
    assert (found.kept, found.dimensions) == (2, ("harm", "area", "loss"))
    assert found.course("val", "mae") == [1.2, 0.7, 0.9]
    assert found.course("val", "recall") is None and found.chosen_by == "mae"


def test_without_metadata_the_history_says_which_epoch_and_dimensions(tmp_path: Path) -> None:
    found = read_training(write_run(tmp_path, [1.2, 0.7, 0.9]), None)
    assert (found.kept, found.dimensions) == (2, ("harm", "area", "loss"))


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ("no json", "not JSON"),
        ([], "at least 1 item"),
        ({"epochs": 3}, "valid tuple"),
        ([{"epoch": 1, "val": {"loss": 1.0}}], "epoch 1 has no val MAE"),
        ([{"epoch": 1, "val": {"mae": "low"}}], "valid number"),
    ],
)
def test_what_is_no_history_is_said(tmp_path: Path, history: Any, said: str) -> None:
    path = tmp_path / "training_history.json"
    path.write_text(history if isinstance(history, str) else json.dumps(history), encoding="utf-8")
    with pytest.raises(UserError, match=said):
        read_training(path, None)


@pytest.mark.parametrize(
    ("recorded", "told"),
    [
        (None, ""),
        ([], ""),
        ([{"oracle": None, "rows": 300}], ""),
        ([{"oracle": "gemini-flash", "rows": 300}], "gemini-flash"),
        (
            [{"oracle": "gemini-flash", "rows": 2000}, {"oracle": None, "rows": 80}],
            "gemini-flash (2,000 labels), an oracle that is not recorded (80 labels)",
        ),
        ([{"oracle": "two\nlines", "rows": 3}], "two lines"),
    ],
)
def test_who_gave_the_labels_is_told(tmp_path: Path, recorded: Any, told: str) -> None:
    history = write_run(tmp_path, **({} if recorded is None else {"labelled_by": recorded}))
    found = read_training(history, tmp_path / "training_metadata.json")
    assert labelled_by(found) == told
    assert labelled_by(None) == ""


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        read_training(tmp_path / "training_history.json", None)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B"),
        ("package:x/model", "package:x/model"),
        ("/srv/bases/qwen", "qwen (a local folder)"),
        (r"D:\bases\qwen", "qwen (a local folder)"),
        (None, "not recorded"),
    ],
)
def test_a_folder_of_the_training_machine_is_not_told(name: str | None, told: str) -> None:
    assert base_name(name) == told


@pytest.mark.parametrize(
    ("name", "is_folder", "told"),
    [
        ("base/bert", True, "bert (a local folder)"),
        ("base/bert/", True, "bert (a local folder)"),
        ("base/bert", False, "base/bert"),
        ("base/bert", None, "base/bert"),
    ],
)
def test_what_training_found_counts_and_not_the_form_of_a_name(
    tmp_path: Path, name: str, is_folder: bool | None, told: str
) -> None:
    known = {} if is_folder is None else {"base_is_folder": is_folder}
    history = write_run(tmp_path, model_name=name, **known)
    found = read_training(history, tmp_path / "training_metadata.json")
    assert found.facts.base == told
