from __future__ import annotations

from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.verdicts import load_criteria, read_criteria

ROOT = Path(__file__).parents[2]
SMALL = """\
schema: 1
agent: small
title: Small
words: {ok: PASS, review: REVIEW, fail: FAIL}
commands: {only: distillery calibrate --filter {folder}}
lines:
  errors: {title: Errors, measures: share, unit: share, ok: "< 0.1", fail: "> 0.2"}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "criteria.yaml"
    path.write_text(
        text.replace("{folder}}", "'{folder}'}").replace(
            "distillery calibrate --filter '{folder}'", '"distillery calibrate --filter {folder}"'
        )
    )
    return path


def test_small_table(tmp_path):
    criteria = read_criteria(written(tmp_path, SMALL))
    assert criteria.names == ("errors",)
    assert criteria.line("errors").limits == "ok < 0.1, fail > 0.2"
    assert criteria.for_round("only").round == "only"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('ok: "< 0.1"', 'ok: "about 0.1"', "is not a condition"),
        ('fail: "> 0.2"', 'fail: "> 0.05"', "overlap"),
        ('fail: "> 0.2"', 'fail: "< 0.2"', "overlap"),
        ("unit: share", "unti: share", "did you mean 'unit'"),
        ("unit: share", "stand_in: nobody", "unknown lines"),
        ("unit: share", "rounds: [other]", "rounds without a command"),
        ("unit: share", 'fail_requires: {p: "x"}', "is not a condition"),
        ("schema: 1", "schema: 2", "schema"),
    ],
)
def test_mistakes_are_named(tmp_path, old, new, message):
    with pytest.raises(UserError, match=message) as caught:
        read_criteria(written(tmp_path, SMALL.replace(old, new)))
    assert "criteria.yaml:" in str(caught.value)


def test_the_projects_table_comes_before_the_shipped(tmp_path):
    shipped = (ROOT / "agents/prompt_calibration/criteria.yaml").read_text(encoding="utf-8")
    own = tmp_path / "agents/prompt_calibration/criteria.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(shipped.replace('"< 0.10"', '"< 0.08"'), encoding="utf-8")
    limit = load_criteria("prompt_calibration", tmp_path).line("off_topic_false_positives").ok
    assert limit == "< 0.08"
    assert load_criteria("model_evaluation", tmp_path).line("test_mae").ok == "< 1.0"


def test_only_validation_has_the_comparison():
    criteria = load_criteria("prompt_calibration", ROOT)
    calibration, validation = criteria.for_round("calibration"), criteria.for_round("validation")
    assert set(validation.names) - set(calibration.names) == {
        "false_positives_worse",
        "misses_worse",
        "valid_worse",
        "shared_with_earlier_rounds",
    }
    with pytest.raises(UserError, match="no round 'evaluation'"):
        criteria.for_round("evaluation")


def test_an_unknown_line_is_a_key_error():
    with pytest.raises(KeyError):
        load_criteria("model_evaluation", ROOT).line("mae")
