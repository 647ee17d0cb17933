"""A project's own content hides the shipped copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery_core import content
from distillery_core.errors import UserError


def test_the_project_is_the_nearest_folder_with_its_marks(tmp_path: Path) -> None:
    (tmp_path / "filters").mkdir()
    deep = tmp_path / "datasets" / "labeled"
    deep.mkdir(parents=True)
    assert content.project_root(deep) == tmp_path.resolve()


def test_without_marks_the_project_is_where_one_stands(tmp_path: Path) -> None:
    assert content.project_root(tmp_path) == tmp_path.resolve()


def test_the_project_comes_before_the_shipped_copy(tmp_path: Path) -> None:
    own = tmp_path / "agents" / "prompt_calibration"
    own.mkdir(parents=True)
    assert content.find_content("agents", "prompt_calibration", tmp_path) == own
    shipped = content.find_content("agents", "model_evaluation", tmp_path)
    assert shipped.is_relative_to(content.shipped_root())


def test_what_nobody_has_is_said_with_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="distillery init"):
        content.find_content("stacks", "moonbase.yaml", tmp_path)
    with pytest.raises(UserError, match=r"no moon\.yaml"):
        content.find_file("moon.yaml", tmp_path)
