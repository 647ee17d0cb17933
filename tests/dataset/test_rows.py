"""Bad rows are set aside with their reason and never take a good row with them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distillery_core.dataset.rejects import Rejects
from distillery_core.dataset.rows import (
    numbered_articles,
    read_articles,
    read_examples,
    read_labelled,
)
from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter

WriteRows = Callable[..., Path]

BAD_ROWS: list[tuple[Any, str]] = [
    ("{broken", "bad_json"),
    ("[1, 2]", "bad_json"),
    ('"text"', "bad_json"),
    ('{"id": "x", "content": "text"} trailing', "bad_json"),
    ("[" * 200_000, "bad_json"),
    ('{"id": "x", "content": "text", "n": ' + "9" * 5000 + "}", "bad_json"),
    (b'{"id": "x", "content": "\xff\xfe"}', "bad_utf8"),
    ('{"id": "x", "content": "half \\ud83d"}', "bad_utf8"),
    ('{"id": "x", "content": "text", "n": NaN}', "not_finite"),
    ('{"id": "x", "content": "text", "n": -Infinity}', "not_finite"),
    ('{"id": "x", "content": "text", "n": 1e999}', "not_finite"),
    ({"content": "text"}, "bad_id"),
    ({"id": "", "content": "text"}, "bad_id"),
    ({"id": "  ", "content": "text"}, "bad_id"),
    ({"id": None, "content": "text"}, "bad_id"),
    ({"id": True, "content": "text"}, "bad_id"),
    ({"id": ["x"], "content": "text"}, "bad_id"),
    ({"id": "good", "content": "text"}, "duplicate_id"),
    ({"id": "x"}, "empty_content"),
    ({"id": "x", "content": ""}, "empty_content"),
    ({"id": "x", "content": " \n\t "}, "empty_content"),
    ({"id": "x", "content": None}, "empty_content"),
    ({"id": "x", "content": 7}, "bad_field"),
    ({"id": "x", "content": "text", "title": ["a"]}, "bad_field"),
]


@pytest.mark.parametrize(("row", "kind"), BAD_ROWS)
def test_a_bad_row_is_set_aside_and_its_neighbours_are_read(
    write_rows: WriteRows, row: Any, kind: str
) -> None:
    before, after = {"id": "good", "content": "one"}, {"id": "also good", "content": "two"}
    path = write_rows([before, row, after])
    with Rejects(path) as rejects:
        found = [article.id for article in read_articles(path, rejects)]
    assert found == ["good", "also good"]
    assert dict(rejects.counts) == {kind: 1}
    assert rejects.read == 3
    written = json.loads(rejects.path.read_text(encoding="utf-8"))
    assert written["line"] == 2
    assert written["reason"]


def test_a_row_of_fifty_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as handle:
        handle.write(b'{"id": "a", "content": "one"}\n{"id": "b", "content": "')
        for _ in range(50):
            handle.write(b"x" * 1_000_000)
        handle.write(b'"}\n{"id": "c", "content": "three"}\n')
    with Rejects(path) as rejects:
        assert [article.id for article in read_articles(path, rejects)] == ["a", "c"]
    assert dict(rejects.counts) == {"too_long": 1}
    assert rejects.path.stat().st_size < 1000


def test_articles_keep_every_key_and_whole_number_ids(write_rows: WriteRows) -> None:
    path = write_rows([{"id": 7, "title": None, "content": "text", "url": "http://x", "n": [1]}])
    with Rejects(path) as rejects:
        (numbered,) = numbered_articles(path, rejects)
    assert numbered.line == 1
    assert numbered.article.row() == {
        "id": "7",
        "title": "",
        "content": "text",
        "url": "http://x",
        "n": [1],
    }


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_bom_crlf_and_gzip_just_work(tmp_path: Path, name: str) -> None:
    data = b'\xef\xbb\xbf{"id": "a", "content": "one"}\r\n\r\n{"id": "b", "content": "two"}\r\n'
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    with Rejects(path) as rejects:
        assert [article.id for article in read_articles(path, rejects)] == ["a", "b"]
    assert not rejects.rejected


def test_a_file_is_looked_at_before_the_first_row_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"), Rejects(tmp_path / "out") as rejects:
        read_articles(tmp_path / "missing.jsonl", rejects)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("rows", "why"), [([], "among 0"), (["{broken"] * 3, "3 bad_json")])
def test_no_usable_row_is_an_error_that_says_why(
    write_rows: WriteRows, rows: list[str], why: str
) -> None:
    path = write_rows(rows)
    with pytest.raises(UserError, match=why), Rejects(path) as rejects:
        list(read_articles(path, rejects))
    assert not rejects.path.exists()


def test_duplicate_ids_are_found_across_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with path.open("w", encoding="utf-8") as handle:
        for number in range(150_000):
            handle.write(f'{{"id": "{number % 149_000}", "content": "text"}}\n')
    with Rejects(path) as rejects:
        assert sum(1 for _ in read_articles(path, rejects)) == 149_000
    assert dict(rejects.counts) == {"duplicate_id": 1000}


def test_labelled_rows_leave_the_label_out_of_the_article(
    flood: Filter, write_rows: WriteRows, labelled_row: Callable[..., dict[str, Any]]
) -> None:
    path = write_rows([labelled_row(1, {"depth": 7, "harm": 2.5}, source="gazette")])
    with Rejects(path) as rejects:
        (row,) = read_labelled(path, flood, rejects)
    assert row.scores == (7.0, 2.5)
    assert row.provenance["oracle"] == "gemini"
    assert dict(row.article.extra) == {"source": "gazette"}


def test_a_row_without_a_usable_label_is_set_aside(
    flood: Filter, write_rows: WriteRows, labelled_row: Callable[..., dict[str, Any]]
) -> None:
    path = write_rows(
        [
            labelled_row(1, {"depth": 7, "harm": 2}),
            labelled_row(2, {"depth": 7}),
            {"id": "b", "content": "text", "storm_analysis": {}},
        ]
    )
    with Rejects(path) as rejects:
        assert [row.article.id for row in read_labelled(path, flood, rejects)] == ["a1"]
    assert dict(rejects.counts) == {"missing_dimension": 1, "no_analysis": 1}
    assert "the row has storm_analysis" in rejects.path.read_text(encoding="utf-8")


def test_examples_are_read_and_a_foreign_row_is_named(write_rows: WriteRows) -> None:
    row = {"id": "a", "title": "t", "content": "c", "labels": [1, 2], "dimension_names": ["x", "y"]}
    path = write_rows([{**row, "source": "gazette", "class": "edge"}])
    (example,) = read_examples(path)
    assert (example.labels, example.dimension_names) == ((1.0, 2.0), ("x", "y"))
    assert (example.source, example.sample_class, example.group) == ("gazette", "edge", None)
    for wrong in ({**row, "labels": [1]}, {**row, "labels": None}, {"id": "a"}, "{broken"):
        with pytest.raises(UserError, match=r"rows.jsonl:2: not a training example"):
            read_examples(write_rows([row, wrong]))


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans())
def test_bad_input_never_loses_good_input(tmp_path: Path, junk: list[bytes], zipped: bool) -> None:
    """Whatever bytes stand between them, all good rows arrive and every other line is counted."""
    lines: list[bytes] = []
    for number, noise in enumerate(junk):
        lines += [noise.replace(b"\n", b" "), b'{"id": "good-%d", "content": "x"}' % number]
    lines.append(b'{"id": "last", "content": "x"}')
    data = b"{}\n" + b"\n".join(lines)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(gzip.compress(data) if zipped else data)
    with Rejects(path) as rejects:
        found = [article.id for article in read_articles(path, rejects)]
    assert found == [f"good-{number}" for number in range(len(junk))] + ["last"]
    assert rejects.read == len(found) + rejects.rejected
