"""A file to a file: every line, in order, whatever is in it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters.filter import Filter
from distillery_core.scoring import stream
from distillery_core.scoring.scorer import Scorer
from distillery_core.scoring.stream import score_file
from distillery_core.student.testing import labelled_rows, write_rows
from distillery_core.types import Article

BAD_LINES = {
    3: b"{broken",
    5: b'{"id": "no-content", "title": "x", "content": " "}',
    8: b'\xff\xfe{"id": "bytes"}',
    12: b'{"id": "t1", "title": "again", "content": "hot hot hot hot hot"}',
    14: b'{"id": "nan", "content": "hot hot hot hot", "views": NaN}',
}


@pytest.fixture
def articles(filter_: Filter) -> list[dict[str, Any]]:
    rows = [
        {key: row[key] for key in ("id", "title", "content")} for row in labelled_rows(filter_, 12)
    ]
    rows[4]["content"] = "short"
    return rows


def mixed_lines(articles: list[dict[str, Any]]) -> list[bytes]:
    """The articles with the bad lines at their line numbers."""
    good = iter([json.dumps(row).encode() for row in articles])
    total = len(articles) + len(BAD_LINES)
    return [BAD_LINES[n] if n in BAD_LINES else next(good) for n in range(1, total + 1)]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("window", [1, 4, 512])
def test_nothing_is_lost_and_the_order_is_kept(
    filter_: Filter, model_dir: Path, articles: list[dict[str, Any]], tmp_path: Path, window: int
) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(mixed_lines(articles)))
    seen: list[int] = []
    summary = score_file(
        filter_,
        model_dir,
        source,
        output,
        window=window,
        progress=lambda done, total, note="": seen.append(done),
    )
    rows = rows_of(output)
    assert [row["line"] for row in rows] == list(range(1, 18))
    assert {row["line"] for row in rows if row["status"] == "error"} == set(BAD_LINES)
    assert [row["id"] for row in rows if row["status"] != "error"] == [a["id"] for a in articles]
    assert [row["id"] for row in rows if row["status"] == "blocked"] == ["t4"]
    assert (summary.lines, summary.scored, summary.blocked, summary.failed) == (17, 11, 1, 5)
    assert sum(summary.tiers.values()) == 11
    assert seen[-1] == 17
    rejected = rows_of(summary.rejected_path)
    assert [row["line"] for row in rejected] == sorted(BAD_LINES)
    with pytest.raises(CheckFailed, match="5 of 17 rows were rejected"):
        summary.check()


def test_scores_are_those_of_the_scorer(
    filter_: Filter, model_dir: Path, articles: list[dict[str, Any]], tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    source = write_rows(tmp_path / "in.jsonl", articles)
    summary = score_file(filter_, model_dir, source, output)
    summary.check()
    assert not summary.rejected_path.exists()
    scorer = Scorer(filter_, model_dir)
    for row, article in zip(rows_of(output), articles, strict=True):
        [alone] = scorer.score([Article(article["id"], article["title"], article["content"])])
        assert row["status"] == alone.status
        assert row["title"] == article["title"]
        if alone.scores:
            assert row["scores"] == pytest.approx(alone.scores, abs=2e-4)


def test_gzip_is_read(
    filter_: Filter, model_dir: Path, articles: list[dict[str, Any]], tmp_path: Path
) -> None:
    plain = write_rows(tmp_path / "in.jsonl", articles)
    zipped = tmp_path / "in.jsonl.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    score_file(filter_, model_dir, plain, tmp_path / "a.jsonl")
    score_file(filter_, model_dir, zipped, tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_a_run_that_breaks_leaves_the_old_output(
    filter_: Filter,
    model_dir: Path,
    articles: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("old", encoding="utf-8")
    source = write_rows(tmp_path / "in.jsonl", articles)

    def full_disk(*about: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stream, "_write", full_disk)
    with pytest.raises(UserError, match="No space left on device"):
        score_file(filter_, model_dir, source, output)
    assert output.read_text(encoding="utf-8") == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_refused_before_the_model_is_loaded(
    filter_: Filter, articles: list[dict[str, Any]], tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", articles)
    nowhere = tmp_path / "no-model"
    with pytest.raises(UserError, match="no such file"):
        score_file(filter_, nowhere, tmp_path / "missing.jsonl", tmp_path / "out.jsonl")
    with pytest.raises(UserError, match="is a folder"):
        score_file(filter_, nowhere, tmp_path, tmp_path / "out.jsonl")
    with pytest.raises(UserError, match="the same file"):
        score_file(filter_, nowhere, source, source)
    with pytest.raises(UserError, match="no such model folder"):
        score_file(filter_, nowhere, source, tmp_path / "out.jsonl")


def test_a_file_without_a_usable_line(filter_: Filter, model_dir: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("nonsense\n\n{}\n", encoding="utf-8")
    with pytest.raises(UserError, match="no usable row among 2"):
        score_file(filter_, model_dir, source, tmp_path / "out.jsonl")
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def test_an_output_that_cannot_be_written(
    filter_: Filter, model_dir: Path, articles: list[dict[str, Any]], tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", articles)
    with pytest.raises(UserError, match="cannot be written"):
        score_file(filter_, model_dir, source, source / "out.jsonl")


def test_the_summary_is_json(
    filter_: Filter, model_dir: Path, articles: list[dict[str, Any]], tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", articles)
    summary = score_file(filter_, model_dir, source, tmp_path / "out.jsonl")
    plain = json.loads(json.dumps(summary.to_dict()))
    assert (plain["lines"], plain["rejected"]) == (12, None)
    assert plain["articles_per_second"] > 0
