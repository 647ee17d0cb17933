from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distillery_core.agents.grounding import Grounding
from distillery_core.agents.observations import Observation
from distillery_core.agents.rounds import (
    ROUNDS_FILE,
    Asked,
    Round,
    amend,
    as_they_count,
    pool_of,
    pooled,
    read_rounds,
    remember,
    sample_identity,
    tuned_prompts,
)
from distillery_core.errors import UserError


def _seen(*keys: str) -> tuple[Observation, ...]:
    return tuple(
        Observation(key, "on_topic", "scored", (1.0, 2.0, 3.0), 1.7, Grounding(0.5, 0.1))
        for key in keys
    )


def _round(kind: Any = "calibration", prompt: str = "p1", keys: str = "abc", **more: Any) -> Round:
    seen = _seen(*keys)
    made = Round(
        kind=kind,
        date="2026-11-22T20:00:00Z",
        asked=Asked(prompt, "view", "dims", "oracle"),
        scoring_sha256="s",
        cuts=(5.0, 7.0),
        seed=1,
        sample_sha256=sample_identity(seen),
        asked_for={"on_topic": 3},
        classes_reviewed=True,
        seen=seen,
        rates={"on_topic_misses": 1.0},
    )
    return replace(made, **more)


def _spent(folder: Path, sample_sha256: str, prompt_sha256: str) -> bool:
    counted = as_they_count(read_rounds(folder), prompt_sha256)
    return any(one.sample_sha256 == sample_sha256 and one.kind == "calibration" for one in counted)


def test_a_round_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    one = replace(_round(), seen=(*_seen("a"), Observation("b", "edge", "failed")))
    remember(tmp_path, one)
    assert read_rounds(tmp_path) == [one]


def test_a_repeated_run_takes_the_place_of_the_first(tmp_path: Path) -> None:
    remember(tmp_path, _round())
    remember(tmp_path, _round(prompt="p2"))
    history = remember(tmp_path, replace(_round(), date="2026-11-23T00:00:00Z"))
    assert [one.date[:10] for one in read_rounds(tmp_path)] == ["2026-11-23", "2026-11-22"]
    assert history.before == ()
    assert [one.asked.prompt_sha256 for one in history.after] == ["p2"]


def test_other_cuts_are_another_round(tmp_path: Path) -> None:
    remember(tmp_path, _round())
    remember(tmp_path, _round(cuts=(4.0, 7.0)))
    assert len(read_rounds(tmp_path)) == 2


def test_the_same_bytes_when_nothing_is_new(tmp_path: Path) -> None:
    remember(tmp_path, _round())
    first = (tmp_path / ROUNDS_FILE).read_bytes()
    remember(tmp_path, _round())
    assert (tmp_path / ROUNDS_FILE).read_bytes() == first


def test_a_validation_followed_by_a_prompt_change_counts_as_calibration() -> None:
    rounds = [_round("validation", "p1"), _round("calibration", "p1")]
    assert [one.kind for one in as_they_count(rounds, "p1")] == ["validation", "calibration"]
    assert [one.kind for one in as_they_count(rounds, "p2")] == ["calibration", "calibration"]


def test_going_back_to_the_old_prompt_does_not_make_it_fresh_again(tmp_path: Path) -> None:
    validation = _round("validation", "p1")
    remember(tmp_path, validation)
    remember(tmp_path, _round("calibration", "p2", keys="xyz"))
    assert _spent(tmp_path, validation.sample_sha256, "p1")
    history = remember(tmp_path, validation)
    first = history.before[0]
    assert (first.kind, first.keys) == ("calibration", set("abc"))


def test_a_fresh_validation_is_not_spent(tmp_path: Path) -> None:
    validation = _round("validation", "p1")
    remember(tmp_path, _round("calibration", "p1", keys="xyz"))
    remember(tmp_path, validation)
    assert not _spent(tmp_path, validation.sample_sha256, "p1")
    assert _spent(tmp_path, validation.sample_sha256, "p2")
    assert _spent(tmp_path, sample_identity(_seen("x", "y", "z")), "p1")


def test_only_what_was_asked_the_same_way_is_pooled() -> None:
    other = replace(_round(keys="def"), asked=Asked("p1", "view", "dims", "other oracle"))
    rounds = [_round(), _round(prompt="p2", keys="ghi"), other, _round("validation", keys="jkl")]
    assert pool_of(rounds, "calibration", _round().asked) == [rounds[0]]


def test_a_text_of_two_samples_counts_once_as_scored_last() -> None:
    later = replace(_round(keys="cd"), seen=(replace(_seen("c")[0], overall=9.0), *_seen("d")))
    found = pooled([_round(), later])
    assert sorted(one.key for one in found) == list("abcd")
    assert [one.overall for one in found if one.key == "c"] == [9.0]


def test_tuning_is_counted_by_prompt_and_sample() -> None:
    current = _round()
    rounds = [_round(prompt=name) for name in ("p1", "p2", "p2", "p3")]
    rounds += [_round("validation", "p9"), _round(prompt="p4", keys="xyz")]
    assert tuned_prompts(rounds, current) == 3


@pytest.mark.parametrize("line", ["{}", "[]", "not json", '{"round": "other"}'])
def test_a_damaged_file_is_not_forgotten(tmp_path: Path, line: str) -> None:
    remember(tmp_path, _round())
    with (tmp_path / ROUNDS_FILE).open("a", encoding="utf-8") as handle:
        handle.write(line + "\n")
    with pytest.raises(UserError, match=r"calibration_rounds\.jsonl:2"):
        read_rounds(tmp_path)


def test_a_sample_with_replacements_is_the_same_sample_for_tuning() -> None:
    current = _round(keys="abcdef")
    most = [_round(prompt="p2", keys="abcdxy"), _round(prompt="p3", keys="abcuvw")]
    assert tuned_prompts([*most, current], current) == 2


def test_what_is_known_later_is_written_at_the_rounds_own_place(tmp_path: Path) -> None:
    rounds = [_round(), _round(prompt="p2"), _round("validation", "p2", "xyz")]
    numbers = [remember(tmp_path, one).number for one in rounds]
    assert numbers == [1, 2, 3]
    amend(tmp_path, replace(rounds[1], cost_usd=0.25))
    assert [one.cost_usd for one in read_rounds(tmp_path)] == [0.0, 0.25, 0.0]


def _remember_many(folder: str, prompt: str, count: int, start: Any) -> None:
    start.wait(60)
    for number in range(count):
        one = _round(prompt=f"{prompt}{number}")
        remember(Path(folder), one)
        amend(Path(folder), replace(one, cost_usd=1.0))


def test_rounds_that_end_at_once_are_all_remembered(tmp_path: Path) -> None:
    """Without the lock 13 or 14 of these 24 are left."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    many = [
        context.Process(target=_remember_many, args=(str(tmp_path), name, 12, start))
        for name in "ab"
    ]
    for one in many:
        one.start()
    for one in many:
        one.join(90)
        assert one.exitcode == 0
    found = read_rounds(tmp_path)
    names = {f"{name}{number}" for name in "ab" for number in range(12)}
    assert {one.asked.prompt_sha256 for one in found} == names
    assert len(found) == 24
    assert {one.cost_usd for one in found} == {1.0}
