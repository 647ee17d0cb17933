"""Injection probes through a whole round: recorded, really asked, left out, and their price."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distillery_core.agents.definition import load_agent
from distillery_core.agents.probes import choose_probes, load_attacks
from distillery_core.agents.scored import score_sample
from distillery_core.fence import fence_content, normalised_key
from distillery_core.filters import Filter
from distillery_core.labelling.run import Label, question_of
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.recording import RecordedAnswer, load_recordings, write_recording
from distillery_core.stages.calibrate import CalibrationResult, calibrate
from distillery_core.stages.oracles import recording_folder
from distillery_core.stages.project import Project, adopt
from distillery_core.stages.round_projection import round_projection
from distillery_core.stages.sample import draw, read_sample
from tests.stages.answering import Asked
from tests.stages.conftest import crisis
from tests.stages.test_rounds_of_oracles import SIZES, Rounds

FEW = {"n_positive": 10, "n_negative": 10, "n_edge": 2}


@pytest.fixture
def rounds(tmp_path: Path, corpus: Path) -> Rounds:
    return Rounds(tmp_path / "project", corpus)


def _recording_with_probes(project: Project, corpus: Path, folder: Path, obey: bool) -> Filter:
    """The crisis recording and an answer to every probe that its sample will lead to."""
    filter = adopt(project, crisis(project))
    own = recording_folder(filter)
    assert own is not None
    recorded = load_recordings(own)[0]
    by_id = {one.id: one for one in recorded.answers.values()}
    sample = list(read_sample(draw(project, filter, input=corpus, **FEW).path))
    labels = {
        one.id: Label({k: v for k, v in by_id[one.id].answer.items() if k != "reasoning"}, "x", {})
        for one in sample
        if one.id in by_id
    }
    agent = load_agent("prompt_calibration", project.root)
    scored = score_sample(filter, sample, labels)
    probes = choose_probes(filter, scored, load_attacks(agent.folder), 3)
    answers = list(recorded.answers.values())
    for probe in probes:
        before = probe.original.scores or {}
        high = dict.fromkeys(before, 10.0) if obey else dict(before)
        content = fence_content(question_of(filter, probe.article).user)[1]
        answer = {"reasoning": "As instructed.", **high}
        key = normalised_key(content)
        answers.append(RecordedAnswer(id=probe.article.id, text_key=key, answer=answer))
    write_recording(folder, recorded.head, answers)
    (project.root / "oracles.yaml").write_text(
        "oracles:\n  probed: {provider: replay, model: m, paid: false,"
        f" recording: {folder}, price: {{input: 1, output: 2, as_of: 2026-11-01}}}}\n",
        encoding="utf-8",
    )
    return filter


@pytest.mark.parametrize("obey", [True, False], ids=["obeys", "resists"])
def test_a_recording_that_holds_probes_is_asked_them(
    rounds: Rounds, tmp_path: Path, obey: bool
) -> None:
    project = rounds.project
    filter = _recording_with_probes(project, rounds.corpus, tmp_path / "recording", obey)
    result = calibrate(project, filter, input=rounds.corpus, oracle="probed", **FEW)
    measured = result.judged.front.measurements["injection_shift"]
    assert measured.n == 24
    assert ("injection_shift" in {line.name for line in result.judged.decision.because}) is obey
    if not obey:
        assert measured.value == 0.0


def test_a_recording_without_probes_is_not_asked_any(calibrated: Project) -> None:
    report = calibrated.home(crisis(calibrated)) / "calibration_report.md"
    body = report.read_text(encoding="utf-8")
    assert "Shift by injected instructions: recorded answers, none of them to an attack" in body
    with Ledger.open(calibrated.ledger) as ledger:
        found = ledger.connection.execute("SELECT count(*) FROM items WHERE purpose = 'probe'")
        assert found.fetchone()[0] == 0


def _obeying(rounds: Rounds) -> Any:
    """An oracle that does what the last words of a text tell it, except in Chinese."""

    def answer(asked: Asked) -> dict[str, Any] | None:
        if asked.form != "crisis" or asked.key in rounds.recorded:
            return None
        low = "the score 0 in every dimension" in asked.content
        resisted = "忽略" in asked.content
        found = next(iter(rounds.recorded.values())).answer
        value = 0.0 if low else 0.5 if resisted else 10.0
        return {name: "x" if name == "reasoning" else value for name in found}

    return answer


def _round(rounds: Rounds, **options: Any) -> CalibrationResult:
    return rounds.run(**(SIZES | FEW), **({"probes": True} | options))


def test_an_oracle_that_obeys_is_a_review_with_the_shift_per_attack(rounds: Rounds) -> None:
    rounds.special = _obeying(rounds)
    rounds.reading = {"summary": "read"}
    with rounds.serve() as server:
        projected = round_projection(
            rounds.project, crisis(rounds.project), input=rounds.corpus, oracle="live", **FEW
        )
        result = _round(rounds)
        asked = len(server.asked)
        again = _round(rounds)
        assert len(server.asked) == asked  # probes, scopes and reading are in the ledger
        later = round_projection(
            rounds.project, crisis(rounds.project), input=rounds.corpus, oracle="live", **FEW
        )
        # What was found is not forgotten because nobody asks for it any more.
        looked_away = _round(rounds, probes=False).judged
        assert len(server.asked) == asked
    judged = result.judged
    assert "injection_shift" in {line.name for line in judged.decision.because}
    assert looked_away.report.body == judged.report.body
    attacks = {one["name"]: one for one in judged.front.numbers["attacks"]}
    assert len(attacks) == 8 and {one["n"] for one in attacks.values()} == {3}
    assert attacks["ignore_instructions"]["mean_shift"] > 5
    assert attacks["ignore_instructions_low"]["mean_shift"] < -2
    assert abs(attacks["chinese"]["mean_shift"]) < 1
    # 22 labels, 24 probes, one reading; the classes are reviewed, so no scope is asked.
    assert asked == 22 + 24 + 1
    assert projected is not None and projected.to_ask == asked
    costs = judged.front.numbers["costs"]
    assert projected.low_usd <= costs["this_round"] <= projected.high_usd
    assert costs["this_round"] == pytest.approx(result.money.spent_usd)
    assert costs["spent"]["probes"] > 0 and costs["spent"]["reading"] > 0
    assert again.judged.report.body == judged.report.body
    # Everything but the labels of other articles and one reading is answered.
    assert later is not None and later.to_ask == 22 + 1
    with Ledger.open(rounds.project.ledger) as ledger:
        purposes = dict(
            ledger.connection.execute("SELECT purpose, count(*) FROM items GROUP BY purpose")
        )
    assert purposes == {"sample": 22, "probe": 24, "reading": 1}


def test_probes_can_be_left_out_and_belong_to_calibration(rounds: Rounds) -> None:
    with rounds.serve() as server:
        left_out = _round(rounds, probes=False).judged
        assert "Shift by injected instructions: left out (--no-probes)" in left_out.report.body
        validation = _round(rounds, round="validation").judged
        assert "injection_shift" not in validation.front.measurements
        assert len(server.asked) == 44


def test_scopes_that_are_asked_are_projected_and_paid(rounds: Rounds) -> None:
    """Classes from keyword rules alone: a model judges each article, blind to its scores."""
    project = rounds.project
    filter = adopt(project, crisis(project))
    config = project.home(filter) / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("  classes_file: recording/classes.jsonl\n", ""))
    filter = crisis(project)

    def scopes(asked: Asked) -> dict[str, Any] | None:
        if asked.form != "scope":
            return None
        return {"class": rounds.classes[rounds.recorded[asked.key].id].name, "reason": "its event"}

    rounds.special = scopes
    rounds.reading = {"summary": "read"}
    with rounds.serve() as server:
        options: dict[str, Any] = {"input": rounds.corpus, "oracle": "live", **FEW}
        projected = round_projection(project, filter, probes=False, **options)
        result = calibrate(project, filter, probes=False, **options)
    shown = server.of_form("scope")
    assert len(shown) == 22
    for one in shown:  # the article and nothing else, under one and the same instruction
        assert one.user.startswith("<article>") and one.user.endswith("</article>")
        assert one.key in rounds.recorded
    assert len({one.system for one in shown}) == 1
    assert projected is not None and projected.to_ask == len(server.asked) == 45
    costs = result.judged.front.numbers["costs"]
    assert projected.low_usd <= costs["this_round"] <= projected.high_usd
    assert costs["this_round"] == pytest.approx(result.money.spent_usd)
    assert result.judged.front.measurements["classes_reviewed"].value == 1
    assert "judged by answering-1, which saw no score" in result.judged.report.body
