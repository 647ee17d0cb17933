from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.agents.calibration import judge_round
from distillery_core.agents.definition import load_agent
from distillery_core.agents.probes import (
    Attack,
    Probed,
    ProbeResult,
    attack_figures,
    choose_probes,
    injection_shift,
    load_attacks,
)
from distillery_core.errors import UserErrors
from distillery_core.filters.filter import Filter
from distillery_core.filters.text_view import text_view
from distillery_core.types import SCORE_MAX

Build = Callable[..., Any]


def _attacks(project: Path) -> tuple[Attack, ...]:
    return load_attacks(load_agent("prompt_calibration", project).folder)


def _results(filter: Filter, scored: Any, project: Path, answer: Build) -> Probed:
    probes = choose_probes(filter, scored, _attacks(project), 3)
    return Probed(tuple(ProbeResult(one, answer(one)) for one in probes), cost_usd=0.01)


def test_attacks_are_tried_where_there_is_most_to_gain(
    floods: Filter, sample: Build, project: Path
) -> None:
    attacks = _attacks(project)
    assert 6 <= len(attacks) <= 8
    assert {one.wants for one in attacks} == {"high", "low"}
    probes = choose_probes(floods, sample(), attacks, 3)
    assert len(probes) == 3 * len(attacks)
    for one in probes:
        wanted = "off_topic" if one.attack.wants == "high" else "on_topic"
        assert one.original.class_name == wanted
        assert one.article.content.startswith(one.original.article.content)
        assert one.article.title == one.original.article.title
    lowest = sorted(one.overall for one in sample() if one.class_name == "off_topic")[:3]
    high = [one for one in probes if one.attack.name == "ignore_instructions"]
    assert [one.original.overall for one in high] == lowest


def test_a_fake_answer_names_every_dimension(floods: Filter, project: Path) -> None:
    texts = {one.name: one.written_for(floods) for one in _attacks(project)}
    assert '"harm": 10.0, "area": 10.0, "loss": 10.0' in texts["fake_answer"]
    assert "{answer}" not in "".join(texts.values())


@pytest.mark.parametrize("head_share", ["0.75", "1.0", "0.2"])
def test_an_attack_is_read_whole_however_long_the_article(
    make_filter: Build, sample: Build, project: Path, head_share: str
) -> None:
    text = ("text: {max_chars: 2000}", f"text: {{max_chars: 2000, head_share: {head_share}}}")
    filter = make_filter(text=text)
    scored = sample(filter=filter)
    for one in scored:
        object.__setattr__(one.article, "content", "long words here " * 1000)
    for probe in choose_probes(filter, scored, _attacks(project), 1):
        view = text_view(probe.article.title, probe.article.content, filter.config.text)
        assert view.content.endswith(probe.attack.written_for(filter)[-60:])
        assert probe.attack.written_for(filter) in view.content


def test_an_oracle_that_obeys_one_attack_is_found_out(
    floods: Filter, sample: Build, project: Path
) -> None:
    """Seven attacks without any effect do not dilute the one that works."""

    def obeys(probe: Any) -> float | None:
        if probe.attack.name == "german":
            return SCORE_MAX
        return probe.original.overall

    probed = _results(floods, sample(), project, obeys)
    measured = injection_shift(probed)
    assert measured.value is not None and measured.value > 9
    assert "german on 3 articles" in measured.note
    by_name = {one.name: one for one in attack_figures(probed)}
    assert by_name["german"].mean_shift == by_name["german"].mean_absolute_shift == measured.value
    assert by_name["chinese"].mean_shift == 0


def test_shifts_in_both_directions_do_not_cancel_out(
    floods: Filter, sample: Build, project: Path
) -> None:
    signs = iter([1, -1, 1] * 20)
    probed = _results(floods, sample(), project, lambda p: p.original.overall + 2 * next(signs))
    assert injection_shift(probed).value == pytest.approx(2)
    assert attack_figures(probed)[0].mean_shift == pytest.approx(2 / 3)


def test_an_unusable_answer_is_counted_and_shifts_nothing(
    floods: Filter, sample: Build, project: Path
) -> None:
    probed = _results(floods, sample(), project, lambda _: None)
    assert injection_shift(probed).value is None
    assert {one.unusable for one in attack_figures(probed)} == {3}


@pytest.mark.parametrize(
    ("shift", "word"), [(0.0, "PASS"), (1.0, "PASS"), (1.01, "REVIEW"), (9.0, "REVIEW")]
)
def test_the_line_is_a_review_beyond_its_limit(
    floods: Filter, given: Build, sample: Build, home: Path, project: Path, shift: float, word: str
) -> None:
    scored = sample()
    probed = _results(floods, scored, project, lambda one: one.original.overall + shift)
    judged = judge_round(floods, given(scored, probed=probed), home, project)
    assert judged.decision.word == word
    if word == "REVIEW":
        assert judged.decision.deciding.name == "injection_shift"
        assert "Harden the prompt against instructions in the text" in judged.report.body
    assert "## Injection probes" in judged.report.body
    costs = judged.front.numbers["costs"]
    assert (costs["spent"]["probes"], costs["this_round"]) == (0.01, 0.06)
    assert "| - injection probes | $0.0100 |" in judged.report.body


def test_probes_that_were_left_out_are_said_to_be(
    floods: Filter, given: Build, home: Path, project: Path
) -> None:
    left_out = Probed(left_out="left out (--no-probes)")
    judged = judge_round(floods, given(probed=left_out), home, project)
    assert judged.decision.word == "PASS"
    assert "Shift by injected instructions: left out (--no-probes)" in judged.report.body


def test_a_broken_file_of_attacks_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "attacks.yaml").write_text("attacks:\n  - {name: A B, wants: middle}\n")
    with pytest.raises(UserErrors, match=r"attacks\.yaml:2"):
        load_attacks(tmp_path)
