"""Summary, document and card of a student whose base stayed as it was under a head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.filters import load_filter
from distillery_core.reports.hub_card import Card, Licence, Reading, render_card
from distillery_core.reports.record import read_record
from distillery_core.reports.training_document import write_document
from distillery_core.reports.training_plots import write_training_plots
from distillery_core.reports.training_record import TrainingReport, read_training
from distillery_core.reports.training_summary import training_summary
from distillery_core.stages.project import Project
from tests.reports.training_files import write_run

SIZES = {"num_parameters": 42_000, "num_trainable_parameters": 9_300}
RIDGE = {**SIZES, "method": "frozen (ridge)", "epochs": 1, "total_steps": 0, "seed": 42}
MLP = {**SIZES, "method": "frozen (mlp)", "epochs": 100, "total_steps": 300, "seed": 42}
MANY = [2.0 - at / 100 for at in range(100)]

Report = Callable[..., TrainingReport]


@pytest.fixture
def report(judged_project: Callable[..., Project], tmp_path: Path) -> Report:
    """A judged student whose training record holds what is given."""
    home = judged_project(n=150).root / "filters/floods/v1"
    record = read_record(home / "model_evaluation.json")

    def make(maes: list[float], **metadata: Any) -> TrainingReport:
        history = write_run(tmp_path / "run", maes, **metadata)
        training = read_training(history, history.with_name("training_metadata.json"))
        return TrainingReport("floods", 1, training, load_filter(home), record)

    return make


def document(report: TrainingReport, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Paragraphs, and the table of settings."""
    import docx

    write_document(folder / "r.docx", report, [], folder)
    found = docx.Document(str(folder / "r.docx"))
    rows = [[cell.text for cell in row.cells] for table in found.tables for row in table.rows]
    return [one.text for one in found.paragraphs], {row[0]: row[1] for row in rows}


def card(report: TrainingReport, base: str = "a/b") -> str:
    assert report.filter is not None
    reading = Reading(64, 4000, 0.75, (1,), (2,), False)
    of, record, training = report.filter, report.record, report.training
    return render_card(
        Card("ana/m", of, Licence("mit"), reading, base, {}, record, training, False)
    )


def test_base_and_head_are_told_apart(report: Report, tmp_path: Path) -> None:
    told, rows = document(report(MANY, **MLP), tmp_path)
    [text] = [one for one in told if one.startswith("The base model of")]
    assert "The base model of 33k parameters stayed as it was; an MLP head of 9.3k" in text
    assert "100 epochs were run and the weights of epoch 100 kept." in text
    assert (rows["Epochs at most"], rows["Steps"]) == ("100", "300")

    told, rows = document(report([0.9], **RIDGE), tmp_path)
    [text] = [one for one in told if one.startswith("The base model of")]
    assert "stayed as it was; a ridge head of 9.3k parameters" in text
    assert text.endswith("It was solved for in one step. It took 2 min 0 s.")
    assert rows["Method"] == "frozen (ridge)" and "Seed" in rows
    assert not {"Epochs at most", "Steps"} & set(rows)


def test_where_there_was_one_epoch_none_was_chosen(report: Report, tmp_path: Path) -> None:
    def unjudged(maes: list[float], **of_run: Any) -> str:
        return training_summary(replace(report(maes, **of_run), record=None))

    assert "chosen by" not in unjudged([0.9], **RIDGE)
    assert "flatters" in unjudged(MANY, **MLP)

    def captions(maes: list[float], **of_run: Any) -> str:
        plots = write_training_plots(tmp_path, report(maes, **of_run).training, None)
        return " ".join(plot.caption for plot in plots)

    assert "was kept" not in captions([0.9], **RIDGE)
    assert captions(MANY, **MLP).count("epoch 100 was kept") == 2


def test_a_trained_base_is_told_as_before(report: Report, tmp_path: Path) -> None:
    told, rows = document(report([0.9], **SIZES, method="lora", best_by="mae"), tmp_path)
    assert rows["Kept epoch chosen by"] == "MAE"
    assert any("; 22.14 % of them were trained. One epoch was run." in one for one in told)
    told, _ = document(report([0.9, 0.8], method="full"), tmp_path)
    assert any("; all of them were trained. 2 epochs were run and" in one for one in told)


def test_none_of_them_says_that_a_ridge_has_a_course(report: Report, tmp_path: Path) -> None:
    ridge = report([0.9], **RIDGE)
    for text in (card(ridge), training_summary(ridge), "\n".join(document(ridge, tmp_path)[0])):
        assert "Only a ridge head was fitted." in text
        assert "One epoch" not in text and "1 epochs" not in text and "late in training" not in text
    assert "\nepochs:" not in training_summary(ridge)
    assert "\nepochs:" in training_summary(report([0.9, 0.8], method="full"))


def test_the_card_names_the_method(report: Report) -> None:
    ridge, full = card(report([0.9], **RIDGE)), card(report([0.9, 0.8], method="full"))
    assert "| method | frozen (ridge) |" in ridge and "| epochs, kept |" not in ridge
    assert "| method | full |" in full and "| epochs, kept | 2, 2 |" in full
    assert "| method |" not in card(report([0.9]))


def test_many_epochs_are_no_paragraph_of_numbers(report: Report, tmp_path: Path) -> None:
    for text in (card(report(MANY, **MLP)), *document(report(MANY, **MLP), tmp_path)[0]):
        assert text.count("1.5") < 5
    assert "Validation MAE: 2.00 in epoch 1, 1.01 in epoch 100." in card(report(MANY, **MLP))


@pytest.mark.parametrize(
    ("recorded", "named"),
    [({"base_is_folder": True}, False), ({"base_is_folder": False}, True), ({}, True)],
)
def test_a_folder_is_no_repository_on_the_hub(
    report: Report, tmp_path: Path, recorded: dict[str, bool], named: bool
) -> None:
    """`base/bert` is one as well as the other; old records do not say."""
    of = report([0.9, 0.8], model_name="base/bert", **recorded)
    text = card(of, "base/bert")
    assert ("base_model" in yaml.safe_load(text.split("---\n")[1])) is named
    assert ("| base model | bert (a local folder) |" in text) is not named
    told = document(of, tmp_path)[0]
    assert any(one.startswith("Base model base/bert,") for one in told) is named


def test_without_a_record_the_form_of_the_name_tells(report: Report) -> None:
    of = replace(report([0.9]), training=None)
    assert "base_model: a/b" in card(of)
    assert "base_model:" not in card(of, "/srv/base")


def test_an_unknown_oracle_has_words(report: Report) -> None:
    text = card(report([0.9, 0.8]))
    assert "name: floods:v1, labelled by an oracle that is not recorded" in text
