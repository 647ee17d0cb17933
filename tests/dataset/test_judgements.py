"""The file of judgements: nothing lost, nothing unchecked, several people, the last word counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distillery_core.dataset.judgements import (
    JUDGEMENTS_FILE,
    Judgement,
    append,
    disagreements,
    known_class,
    read_people,
    valid_name,
)
from distillery_core.errors import UserError

KEY = "a" * 64
OTHER = "b" * 64


def judgement(**changes: Any) -> Judgement:
    row = {
        "id": "1",
        "text_key": KEY,
        "title": "A flood",
        "class": "on_topic",
        "name": "Ada",
        "date": "2026-11-22T20:00:00Z",
    }
    return Judgement.model_validate(row | changes)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    wanted = judgement(scores={"harm": 7.5}, note="near\nthe \u2028 cut", title="آتش")
    path = append(tmp_path, [wanted])
    people = read_people(tmp_path)
    assert people.by("Ada") == {KEY: wanted}
    assert people.classes == {KEY: "on_topic"}
    assert path.read_text(encoding="utf-8").count("\n") == 1
    assert read_people(tmp_path / "nowhere").latest == {}


def test_the_last_word_of_a_person_counts_and_the_first_stays_in_the_file(tmp_path: Path) -> None:
    append(tmp_path, [judgement()])
    append(tmp_path, [judgement(**{"class": "edge"}), judgement(name="Ben")])
    people = read_people(tmp_path)
    assert people.by("Ada")[KEY].class_name == "edge"
    assert people.revised == {(KEY, "Ada")}
    assert len((tmp_path / JUDGEMENTS_FILE).read_text(encoding="utf-8").splitlines()) == 3


def test_most_decide_the_class_and_the_median_the_scores(tmp_path: Path) -> None:
    rows = [("Ada", "edge", 2.0), ("Ben", "on_topic", 9.0), ("Cleo", "edge", 3.0)]
    append(
        tmp_path,
        [judgement(name=name, scores={"harm": s}, **{"class": c}) for name, c, s in rows],
    )
    append(tmp_path, [judgement(text_key=OTHER, id="2", name="Ada")])
    append(tmp_path, [judgement(text_key=OTHER, id="2", name="Ben", **{"class": "edge"})])
    people = read_people(tmp_path)
    assert people.classes == {KEY: "edge"}, "two level classes decide nothing"
    assert people.judged[KEY].scores == {"harm": 3.0}
    assert [one.id for one in disagreements(people)] == ["2", "1"]


def test_the_hash_is_of_the_classes_alone_and_of_these_texts_alone(tmp_path: Path) -> None:
    append(tmp_path, [judgement()])
    before = read_people(tmp_path).classes_sha256([KEY])
    append(tmp_path, [judgement(scores={"harm": 1}), judgement(text_key=OTHER, id="2")])
    assert read_people(tmp_path).classes_sha256([KEY]) == before
    assert read_people(tmp_path).classes_sha256([KEY, OTHER]) != before
    append(tmp_path, [judgement(**{"class": "edge"})])
    assert read_people(tmp_path).classes_sha256([KEY]) != before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class": "ontopic"}, "class"),
        ({"class": None}, "class"),
        ({"text_key": "A" * 64}, "text_key"),
        ({"name": ""}, "name"),
        ({"name": "Ada\u001b[2J"}, "a name is one line"),
        ({"name": "x" * 101}, "name"),
        ({"date": "yesterday"}, "date"),
        ({"scores": {"harm": 10.5}}, "scores.harm"),
        ({"scores": {"harm": "7"}}, "scores.harm"),
        ({"scores": {"harm": True}}, "scores.harm"),
        ({"note": "x" * 2001}, "note"),
        ({"colour": "red"}, "colour"),
        ({"id": ""}, "id"),
    ],
)
def test_a_bad_line_is_named_and_takes_no_other_with_it(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    append(tmp_path, [judgement()])
    with (tmp_path / JUDGEMENTS_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(judgement(text_key=OTHER).row() | changes) + "\n")
        file.write('{"scores": {"harm": NaN}}\nnot json\n')
    people = read_people(tmp_path)
    assert set(people.classes) == {KEY}
    assert len(people.problems) == 3
    assert people.problems[0].startswith("judgements.jsonl:2: ")
    assert said in people.problems[0]


def test_a_line_cut_off_by_a_crash_spoils_nothing_after_it(tmp_path: Path) -> None:
    append(tmp_path, [judgement()])
    with (tmp_path / JUDGEMENTS_FILE).open("a", encoding="utf-8") as file:
        file.write('{"id": "2", "text_k')
    append(tmp_path, [judgement(text_key=OTHER, id="2")])
    people = read_people(tmp_path)
    assert set(people.classes) == {KEY, OTHER}
    assert [problem.split(":")[1] for problem in people.problems] == ["2"]


@pytest.mark.parametrize("word", ["on topic", "On-Topic", " ON_TOPIC "])
def test_classes_as_people_write_them(word: str) -> None:
    assert known_class(word) == "on_topic"
    assert known_class(f"not {word}") is None


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101])
def test_a_name_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match="name"):
        valid_name(name)
