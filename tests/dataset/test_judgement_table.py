"""Judgements as CSV: harmless to a spreadsheet, lossless there and back, every mistake at once."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.dataset.judgement_table import (
    Shown,
    as_it_was,
    harmless,
    read_table,
    shown_article,
    write_table,
)
from distillery_core.dataset.judgements import Judgement, People, append, read_people
from distillery_core.errors import UserError, UserErrors
from distillery_core.filters.text_view import TextView
from distillery_core.types import Article

DIMENSIONS = ("harm", "area")
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
HOSTILE = '=HYPERLINK("http://evil","x")'


def shown(number: int, title: str = "A flood", text: str = "") -> Shown:
    content = text or f"Text number {number}, with a comma\nand a second line"
    return shown_article(Article(str(number), title, content), TextView(title, content))


SHOWN = [shown(1, HOSTILE), shown(2, "@SUM(1)"), shown(3, text="-1+1|cmd")]


def rows(path: Path) -> list[list[str]]:
    text = path.read_bytes().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


def fill(path: Path, *lines: str, head: str = "id,class,name,score_harm") -> Path:
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def judged(tmp_path: Path) -> People:
    one = SHOWN[0]
    append(
        tmp_path,
        [
            Judgement(
                id="1",
                text_key=one.key,
                title=HOSTILE,
                class_name="edge",
                scores={"harm": 7.5},
                name="-Ada",
                note='+1 "quoted", and\nmore',
            )
        ],
    )
    return read_people(tmp_path)


def test_no_cell_is_a_formula_and_what_comes_back_is_what_went_out(tmp_path: Path) -> None:
    people, path = judged(tmp_path), tmp_path / "out.csv"
    assert write_table(path, SHOWN, people, DIMENSIONS) == 3
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    cells = [cell for row in rows(path) for cell in row]
    assert not [cell for cell in cells if cell.startswith(DANGEROUS)]
    assert any(cell == f"'{HOSTILE}" for cell in cells)
    assert read_table(path, SHOWN, DIMENSIONS) == list(people.latest.values())


@given(st.text(max_size=12) | st.from_regex(r"'*[=+@\-]?\w*", fullmatch=True))
def test_any_cell_is_harmless_and_comes_back(cell: str) -> None:
    assert not harmless(cell).startswith(DANGEROUS)
    assert as_it_was(harmless(cell)) == cell


def test_a_note_that_begins_with_an_apostrophe_is_left_alone() -> None:
    assert as_it_was("'tis so") == "'tis so" == harmless("'tis so")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_as_spreadsheet_programs_of_other_countries_write_it(
    tmp_path: Path, delimiter: str
) -> None:
    path = tmp_path / "in.csv"
    lines = [["id", "Class", "score_harm"], ["1", "On topic", "7,5"], ["2", "", ""], ["", "", ""]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(lines)
    path.write_text(text.getvalue(), encoding="utf-8-sig", newline="")
    [found] = read_table(path, SHOWN, DIMENSIONS, "Ben")
    assert (found.class_name, found.scores, found.name) == ("on_topic", {"harm": 7.5}, "Ben")


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    path = fill(
        tmp_path / "in.csv",
        "1,edge,Ada,3",
        "2,sideways,Ada,",
        "9,edge,Ada,",
        "3,edge,Ada,eleven",
        "3,edge,,",
        '3,edge,"A\nB",',
        "1,on_topic,Ada,3",
        "3,,Ada,4",
        "1,edge",
    )
    with pytest.raises(UserErrors) as told:
        read_table(path, SHOWN, DIMENSIONS)
    text = str(told.value)
    wanted = {
        3: "class is 'sideways'",
        4: "no article '9'",
        5: "harm: 'eleven' is no number",
        6: "nobody is named",
        7: "name: a name is one line",
        9: "Ada judged 1 otherwise on line 2",
        10: "class is ''",
        11: "2 cells, the header has 4",
    }
    assert len(told.value.errors) == len(wanted)
    assert all(f"in.csv:{line}: {words}" in text for line, words in wanted.items())


def test_an_article_whose_text_changed_is_refused(tmp_path: Path) -> None:
    path = fill(tmp_path / "in.csv", f"1,edge,Ada,{'0' * 64}", head="id,class,name,text_key")
    with pytest.raises(UserErrors, match="is another one than was judged"):
        read_table(path, SHOWN, DIMENSIONS)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("title,class", "no column id"),
        ("id,score_harm", "no column class"),
        ("id,class,score_wind", "no such dimension"),
        ("id,class,class", "stands there twice"),
    ],
)
def test_a_wrong_header_is_refused(tmp_path: Path, head: str, said: str) -> None:
    with pytest.raises(UserErrors, match=said):
        read_table(fill(tmp_path / "in.csv", head=head), SHOWN, DIMENSIONS)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'id,class\n1,"edge', "not CSV"),
        ("id,class\n1,é".encode("cp1252"), "not UTF-8"),
        ("id,class\n1,edge".encode("utf-16"), "not UTF-8"),
        (b"", "no column id"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(data)
    with pytest.raises(UserError, match=said):
        read_table(path, SHOWN, DIMENSIONS)
