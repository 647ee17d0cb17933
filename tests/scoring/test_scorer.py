"""Scorer: pre-filter before student, rules after it, and only models that fit the filter."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from distillery_core.errors import UserError
from distillery_core.files import write_text
from distillery_core.filters.filter import Filter, load_filter
from distillery_core.filters.score_rules import overall, tier
from distillery_core.scoring.scorer import Scorer, model_folder
from distillery_core.student.predict import predict
from distillery_core.types import Article

GOOD = Article("good", "bas", "hot fire loud bang fast and some more words")
SHORT = Article("short", "", "hot")
ADVERT = Article("advert", "bas", "Advert: hot fire loud bang fast and more")


def test_each_article_gets_what_it_should(filter_: Filter, model_dir: Path) -> None:
    scorer = Scorer(filter_, model_dir)
    good, short, advert = scorer.score([GOOD, SHORT, ADVERT])
    assert (good.status, short.status, advert.status) == ("scored", "blocked", "scored")
    assert short.reason == "too short: 3 characters, 10 needed"
    assert good.scores is not None
    values = predict(scorer.student, [GOOD]).values[0]
    assert list(good.scores.values()) == pytest.approx(values.tolist(), abs=1e-4)
    assert good.overall == pytest.approx(overall(filter_, good.scores, "").value, abs=1e-3)
    assert good.tier == tier(filter_, good.overall)
    assert advert.overall == 1.0
    assert advert.rules == ("cap advert",)


def test_rows_hold_only_what_applies(filter_: Filter, model_dir: Path) -> None:
    good, short, advert = (r.row() for r in Scorer(filter_, model_dir).score([GOOD, SHORT, ADVERT]))
    assert set(good) == {"id", "status", "scores", "overall", "tier"}
    assert set(short) == {"id", "status", "reason"}
    assert set(advert) == {*good, "raw_overall", "rules"}


def test_nothing_passes_the_pre_filter(filter_: Filter, model_dir: Path) -> None:
    assert [r.status for r in Scorer(filter_, model_dir).score([SHORT])] == ["blocked"]
    assert Scorer(filter_, model_dir).score([]) == []


def test_a_prediction_that_is_not_a_number_harms_nobody_else(
    filter_: Filter, model_dir: Path
) -> None:
    scorer = Scorer(filter_, model_dir)
    word = scorer.student.encoder.tokenizer.convert_tokens_to_ids("rush")
    with torch.no_grad():
        scorer.student.model.get_input_embeddings().weight[word] = float("nan")
    poisoned = Article("poisoned", "bas", "rush rush rush and some more words here")
    bad, good = scorer.score([poisoned, GOOD])
    assert bad.status == "error"
    assert bad.reason == "the model's prediction is not a number"
    assert good == Scorer(filter_, model_dir).score([GOOD])[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: tiny", "name: other", "trained for 'tiny', not for 'other'"),
        ("speed:", "pace:", "the filter has other dimensions"),
        ("max_chars: 2000", "max_chars: 900", "text view has changed"),
    ],
)
def test_a_model_of_something_else(
    filter_: Filter, model_dir: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    folder = tmp_path / "filter"
    shutil.copytree(filter_.folder, folder)
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    write_text(folder / "config.yaml", config.replace(old, new))
    with pytest.raises(UserError, match=message):
        Scorer(load_filter(folder), model_dir)


def test_the_model_folder_may_be_named_by_its_filter_folder(
    model_dir: Path, tmp_path: Path
) -> None:
    assert model_folder(model_dir) == model_folder(model_dir.parent) == model_dir
    with pytest.raises(UserError, match="no trained model"):
        model_folder(tmp_path)
