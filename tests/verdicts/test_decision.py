from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_core.types import Level
from distillery_core.verdicts import (
    Decision,
    Lowered,
    Measurement,
    decide,
    load_criteria,
    rate,
)

ROOT = Path(__file__).parents[2]
ROUNDS = {
    "prompt_calibration": "validation",
    "model_evaluation": "evaluation",
    "dataset_quality": "dataset",
    "oracle_readiness": "readiness",
}
TABLES = {agent: load_criteria(agent, ROOT).for_round(name) for agent, name in ROUNDS.items()}
CALIBRATION = load_criteria("prompt_calibration", ROOT).for_round("calibration")


def all_well(agent: str) -> dict[str, Measurement]:
    path = ROOT / f"tests/cases/verdicts/{agent}.yaml"
    given_values = yaml.safe_load(path.read_text(encoding="utf-8"))["all_well"]
    return {
        name: rate(*value) if isinstance(value, list) else Measurement.from_dict(value)
        for name, value in given_values.items()
    }


WELL = {agent: all_well(agent) for agent in TABLES}
numbers = st.none() | st.floats(-50, 50) | st.sampled_from([0.0, 1.0, float("nan"), float("inf")])
counts = st.none() | st.integers(0, 300)
measurement = st.builds(
    Measurement, numbers, counts, counts, numbers, numbers, st.booleans(), st.just("")
)
agents = st.sampled_from(sorted(TABLES))
kinds = st.sampled_from(["general", "needle"])
lowerings = st.none() | st.builds(Lowered, st.sampled_from(Level), st.just("r"), st.just("m"))


@settings(deadline=None)
@given(st.data(), agents, st.sampled_from(["general", "needle", "auto", ""]), lowerings)
def test_decide_is_total(data, agent, kind, lowered):
    names = st.sampled_from([*TABLES[agent].names, "false_positives_fisher_p", "unknown"])
    decision = decide(TABLES[agent], data.draw(st.dictionaries(names, measurement)), kind, lowered)
    assert isinstance(decision, Decision)
    assert decision.level in (Level.OK, Level.REVIEW, Level.FAIL)
    assert decision.level >= decision.computed
    assert decision.level is max(
        [line.level for line in decision.lines if line.decides and line.level > 0],
        default=Level.REVIEW,
    )
    assert all(line.reason for line in decision.lines)


def worsened(agent: str, name: str, given_value: Measurement, by: float) -> Measurement:
    """The point and the interval moved `by` towards the bad end."""
    line = next((line for line in TABLES[agent].lines if line.name == name), None)
    upward = line.ok_band.upward if line else True  # of a p-value, smaller is worse
    shift = -by if upward else by
    ends = [end if end is None else end + shift for end in (given_value.low, given_value.high)]
    value = None if given_value.value is None else given_value.value + shift
    return Measurement(value, given_value.n, given_value.count, *ends, given_value.applicable)


@settings(max_examples=300, deadline=None)
@given(st.data(), agents, kinds, st.floats(0, 20))
def test_worsening_a_measurement_never_improves_the_verdict(data, agent, kind, by):
    given_values = dict(WELL[agent])
    finite = st.builds(
        Measurement,
        st.none() | st.floats(-3, 3),
        counts,
        st.none(),
        st.none() | st.floats(-3, 3),
        st.none() | st.floats(-3, 3),
        st.booleans(),
    )
    given_values.update(data.draw(st.dictionaries(st.sampled_from(sorted(WELL[agent])), finite)))
    name = data.draw(st.sampled_from(sorted(given_values)))
    worse = given_values | {name: worsened(agent, name, given_values[name], by)}
    before = decide(TABLES[agent], given_values, kind)
    after = decide(TABLES[agent], worse, kind)
    assert after.level >= before.level


@pytest.mark.parametrize("agent", TABLES)
@pytest.mark.parametrize("kind", ["general", "needle"])
def test_leaving_a_measurement_out_never_passes(agent, kind):
    for line in TABLES[agent].lines:
        some = {name: value for name, value in WELL[agent].items() if name != line.name}
        decision = decide(TABLES[agent], some, kind)
        result = next(found for found in decision.lines if found.name == line.name)
        counts_here = result.decides and result.level is not Level.NOT_APPLICABLE
        assert decision.level is (Level.REVIEW if counts_here else Level.OK)
        assert result.insufficient or result.level is Level.NOT_APPLICABLE


def test_nothing_measured_is_review():
    decision = decide(CALIBRATION, {})
    assert decision.word == "REVIEW"
    assert all(line.insufficient for line in decision.lines if line.name != "reading")


def test_the_first_of_the_worst_lines_decides():
    bad = WELL["model_evaluation"] | {
        "test_articles": Measurement(100),
        "leak": Measurement(3),
        "skill": Measurement(0.0),
    }
    decision = decide(TABLES["model_evaluation"], bad)
    assert (decision.word, decision.deciding.name) == ("FAIL", "skill")
    assert [line.name for line in decision.because] == ["skill", "leak"]
    assert decision.deciding.reason == "0.000, wanted >= 0.25, fails at < 0.1"


def test_needle_filters_print_the_error_lines_and_decide_by_the_needle_lines():
    values = WELL["model_evaluation"] | {"test_mae": Measurement(2.0), "skill": Measurement(-1)}
    decision = decide(TABLES["model_evaluation"], values, "needle")
    printed = {line.name: line for line in decision.lines}
    assert decision.word == "DEPLOY"
    assert printed["test_mae"].level is Level.FAIL
    assert not printed["test_mae"].decides
    assert decide(TABLES["model_evaluation"], values, "general").word == "FAIL"


@pytest.mark.parametrize(
    ("lowered", "word", "decides", "said"),
    [
        (None, "PASS", "every_line", "not read by a model"),
        (Level.OK, "PASS", "every_line", "agrees: PASS"),
        (Level.REVIEW, "REVIEW", "reading", "lowered to REVIEW by m"),
        (Level.FAIL, "FAIL", "reading", "lowered to FAIL by m"),
    ],
)
def test_a_reading_may_lower(lowered, word, decides, said):
    reading = None if lowered is None else Lowered(lowered, "it rewards headlines", "m")
    decision = decide(CALIBRATION, WELL["prompt_calibration"], lowered=reading)
    assert (decision.word, decision.deciding.name) == (word, decides)
    assert said in decision.lines[-1].reason


@pytest.mark.parametrize("to", [Level.OK, Level.REVIEW, Level.NOT_APPLICABLE])
def test_a_reading_cannot_raise(to):
    bad = WELL["prompt_calibration"] | {"off_topic_false_positives": rate(16, 20)}
    decision = decide(CALIBRATION, bad, lowered=Lowered(to, "looks fine to me", "m"))
    assert decision.word == "FAIL"
    assert decision.deciding.name == "off_topic_false_positives"
    assert "ignored: a reading cannot raise a verdict" in decision.lines[-1].reason


def test_a_reading_that_agrees_with_missing_evidence_does_not_pass():
    nothing = CALIBRATION.model_copy(update={"lines": ()})
    assert decide(nothing, {}, lowered=Lowered(Level.REVIEW, "r", "m")).word == "REVIEW"
    assert decide(nothing, {}, lowered=Lowered(Level.OK, "r", "m")).word == "REVIEW"


@settings(deadline=None)
@given(st.sampled_from([Level.OK, Level.REVIEW, Level.FAIL]), st.text(), st.text())
def test_lowered_to_dict_and_back(to, reason, by):
    lowered = Lowered(to, reason, by)
    assert Lowered.from_dict(lowered.to_dict()) == lowered


@pytest.mark.parametrize(
    "data", [{}, {"to": "PASS", "reason": "r", "by": "m"}, {"to": "FAIL", "reason": "r"}]
)
def test_lowered_refuses(data):
    with pytest.raises(ValueError, match="lowered is"):
        Lowered.from_dict(data)


def test_results_print_in_their_unit():
    decision = decide(CALIBRATION, WELL["prompt_calibration"])
    line = decision.lines[0]
    assert (line.value_text, line.interval_text) == ("0.0 %", "0.0 % to 8.8 %")
    assert (line.ok_text, line.fail_text) == ("< 10 %", "> 20 %")
    printed = {line.name: line for line in decision.lines}
    assert printed["classes_reviewed"].value_text == "yes"
    assert printed["constant_dimensions"].ok_text == "0"
    assert printed["reading"].value_text == "-"


@pytest.mark.parametrize(("grade", "word"), [(1, "REVIEW"), (2, "FAIL")])
def test_a_grade_is_told_by_what_it_stands_for(grade, word):
    told = Measurement(grade, note="the record does not say if weights moved")
    decision = decide(TABLES["model_evaluation"], WELL["model_evaluation"] | {"tripwires": told})
    assert (decision.word, decision.deciding.name) == (word, "tripwires")
    assert decision.deciding.reason == told.note
    unsaid = WELL["model_evaluation"] | {"tripwires": Measurement(grade)}
    bare = decide(TABLES["model_evaluation"], unsaid)
    assert bare.deciding.reason.startswith(f"{grade}, wanted < 1")
