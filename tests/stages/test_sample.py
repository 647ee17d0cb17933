"""A validation sample is fresh wherever the samples of earlier rounds were written to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery_core.filters import resolve_filter
from distillery_core.stages.calibrate import calibrate
from distillery_core.stages.project import Project
from distillery_core.stages.sample import draw, holds_sample, read_sample

FEW = {"n_positive": 20, "n_negative": 20, "n_edge": 10}


def _texts(path: Path) -> set[str]:
    return {article.content for article in read_sample(path)}


def test_a_sample_kept_elsewhere_is_not_drawn_again(tmp_path: Path, corpus: Path) -> None:
    project, mine = Project(tmp_path / "project"), tmp_path / "mine"
    mine.mkdir()
    crisis = resolve_filter("crisis", project.root)
    first = draw(project, crisis, input=corpus, output=mine / "calibration_sample.jsonl", **FEW)
    calibrate(project, crisis, sample=first.path)
    # A corpus beside the samples is none of them.
    (mine / "articles-2024.jsonl").write_text('{"text": "another format"}\n', encoding="utf-8")

    fresh = mine / "validation_sample.jsonl"
    draw(project, crisis, input=corpus, output=fresh, round="validation", **FEW)
    assert not _texts(fresh) & _texts(first.path)

    found = calibrate(project, crisis, round="validation", sample=fresh)
    shared = found.judged.front.measurements["shared_with_earlier_rounds"]
    assert shared.value == 0
    assert "by identity only" not in shared.note

    # Judged or not, the same call draws the same sample again.
    before = fresh.read_bytes()
    draw(project, crisis, input=corpus, output=fresh, round="validation", **FEW)
    assert fresh.read_bytes() == before


@pytest.mark.parametrize(
    ("row", "is_one"),
    [
        ({"id": "1", "title": "", "content": "a", "sample": {"class": "edge"}}, True),
        ({"id": "1", "title": "", "content": "a"}, False),
        ({"sample": 3}, False),
        (["sample"], False),
    ],
)
def test_a_sample_is_known_by_its_first_row(tmp_path: Path, row: object, is_one: bool) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\nnot json\n", encoding="utf-8")
    assert holds_sample(path) is is_one
