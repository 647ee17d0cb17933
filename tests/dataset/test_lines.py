"""Lines of files as they come: BOM, CRLF, gzip, too long, and files that are none."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from distillery_core.dataset.lines import check_input, read_lines
from distillery_core.errors import UserError


def _texts(path: Path) -> list[bytes]:
    return [line.data for line in read_lines(path)]


def test_bom_crlf_blank_lines_and_a_missing_last_newline(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\r\n  \ntwo\n\nthree")
    assert [(line.number, line.data) for line in read_lines(path)] == [
        (1, b"one"),
        (4, b"two"),
        (6, b"three"),
    ]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl"])
def test_gzip_is_known_by_its_bytes_whatever_the_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"one\ntwo\n"))
    assert _texts(tmp_path / name) == [b"one", b"two"]


def test_a_line_that_is_too_long_is_cut_and_the_next_one_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n" + b"x" * 5000 + b"\ntwo\n" + b"y" * 1001)
    lines = list(read_lines(path, max_bytes=1000))
    assert [(line.number, line.too_long) for line in lines] == [
        (1, False),
        (2, True),
        (3, False),
        (4, True),
    ]
    assert len(lines[1].data) == 200
    assert lines[2].data == b"two"


def test_a_line_of_exactly_the_limit_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * 1000 + b"\n" + b"y" * 999 + b"\nend\n")
    assert [line.too_long for line in read_lines(path, max_bytes=1000)] == [True, False, False]


def test_fifty_megabytes_in_one_line_do_not_come_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as handle:
        for _ in range(50):
            handle.write(b"x" * 1_000_000)
        handle.write(b"\n{}\n")
    tracemalloc.start()
    lines = list(read_lines(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [line.too_long for line in lines] == [True, False]
    assert peak < 25_000_000


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("a.jsonl.gz", b'{"id": 1}\n', "like gzip"),
        ("a.jsonl.gz", b"\x1f\x8bnot really", "like gzip"),
        ("a.jsonl", b"\x1f\x8b\x08\x00garbage", "like gzip"),
        ("a.jsonl", '{"id": 1}'.encode("utf-16"), "UTF-16"),
    ],
)
def test_files_that_are_not_what_they_pretend(
    tmp_path: Path, name: str, data: bytes, what: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=what) as error:
        check_input(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert error.value.hint


def test_gzip_that_breaks_off_names_the_last_good_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    text = b"".join(b"%d %d\n" % (n, n * n * 7919) for n in range(20_000))
    path.write_bytes(gzip.compress(text)[:-2000])
    with pytest.raises(UserError, match="break off after line"):
        list(read_lines(path))


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "articles.jsonl").touch()
    with pytest.raises(UserError, match=r"no such file(?s:.)*articles.jsonl"):
        check_input(tmp_path / "artikles.jsonl")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        check_input(tmp_path)
