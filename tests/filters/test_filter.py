"""The Filter object: derived names and hashes, and what each hash binds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from distillery_core.errors import UserError
from distillery_core.filters import Filter, load_filter

MakeFilter = Callable[..., Path]


def test_names_order_and_weights(make_filter: MakeFilter) -> None:
    mood = load_filter(make_filter())
    assert (mood.label, mood.slug, mood.analysis_key) == ("mood:v1", "mood_v1", "mood_analysis")
    assert mood.dimensions == ("joy", "depth", "proof")
    assert mood.weights == (0.5, 0.3, 0.2)
    assert mood.origin == "project"
    with pytest.raises(ValidationError):
        mood.name = "other"  # type: ignore[misc]


def _hashes(filter: Filter) -> dict[str, str]:
    names = ("prompt", "text_view", "dimensions", "scoring")
    return {n: getattr(filter, f"{n}_sha256") for n in names} | {"digest": filter.digest}


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("How glad?", "How happy?", {"prompt", "scoring", "digest"}),
        ("at: 2.5", "at: 3.0", {"scoring", "digest"}),
        ("oracle: {name: recorded}", "text: {max_chars: 500}", {"text_view", "digest"}),
        ("oracle: {name: recorded}", "training: {epochs: 9}", {"digest"}),
        ("oracle: {name: recorded}", "calibration: {on_topic_at: 3}", {"scoring", "digest"}),
        ("    joy:", "    gladness:", {"prompt", "dimensions", "scoring", "digest"}),
        ("oracle: {name: recorded}", "oracle: {name: recorded} # a note", {"digest"}),
    ],
)
def test_hash_changes_with_what_it_binds_and_nothing_else(
    make_filter: MakeFilter, tmp_path: Path, old: str, new: str, changed: set[str]
) -> None:
    before = _hashes(load_filter(make_filter(root=tmp_path / "before")))
    after = _hashes(load_filter(make_filter((old, new), root=tmp_path / "after")))
    assert {name for name in before if before[name] != after[name]} == changed


def test_hashes_do_not_depend_on_the_place(make_filter: MakeFilter, tmp_path: Path) -> None:
    one = load_filter(make_filter(root=tmp_path / "one"))
    other = load_filter(make_filter(root=tmp_path / "other"))
    assert _hashes(one) == _hashes(other)


def test_what_stages_write_beside_is_not_in_the_digest(make_filter: MakeFilter) -> None:
    folder = make_filter()
    before = load_filter(folder).digest
    (folder / "training_metadata.json").write_text("{}", encoding="utf-8")
    assert load_filter(folder).digest == before


@pytest.mark.parametrize(("tier", "point"), [(None, 2.5), ("high", 6.0), ("none", 0.0)])
def test_operating_point(make_filter: MakeFilter, tier: str | None, point: float) -> None:
    section = f"deployment: {{lowest_tier_of_interest: {tier}}}" if tier else "deployment: {}"
    folder = make_filter(("oracle: {name: recorded}", section))
    assert load_filter(folder).operating_point == point


def test_missing_parts_are_named(make_filter: MakeFilter, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a filter: it has no config\.yaml"):
        load_filter(tmp_path)
    folder = make_filter()
    (folder / "prompt.md.j2").unlink()
    with pytest.raises(UserError, match="a filter needs its prompt"):
        load_filter(folder)


def test_folder_must_hold_the_filter_it_names(make_filter: MakeFilter) -> None:
    folder = make_filter()
    renamed = folder.parent.rename(folder.parent.with_name("moods"))
    with pytest.raises(UserError, match="its folder says 'moods'"):
        load_filter(renamed / "v1")
