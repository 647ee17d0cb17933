from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.reports.record import Record, read_record
from distillery_core.reports.training_plots import _limits, write_training_plots
from distillery_core.reports.training_record import read_training
from distillery_core.stages.project import Project
from tests.reports.training_files import write_run

OF_THE_RUN = ["overall_metrics.png", "per_dimension_mae.png", "loss_curves.png"]
OF_THE_TEST = ["predicted_vs_labelled.png", "error_per_band.png", "calibration_curve.png"]


@pytest.fixture
def record(judged_project: Callable[..., Project]) -> Record:
    return read_record(judged_project(n=150).root / "filters/floods/v1/model_evaluation.json")


def test_every_plot_is_drawn_and_the_same_numbers_give_the_same_bytes(
    record: Record, tmp_path: Path
) -> None:
    training = read_training(write_run(tmp_path), tmp_path / "training_metadata.json")
    plots = write_training_plots(tmp_path / "one", training, record)
    write_training_plots(tmp_path / "two", training, record)
    assert [plot.name for plot in plots] == OF_THE_RUN + OF_THE_TEST
    for plot in plots:
        data = (tmp_path / "one" / plot.name).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert data == (tmp_path / "two" / plot.name).read_bytes()


def test_without_an_evaluation_there_are_those_of_the_run(tmp_path: Path) -> None:
    training = read_training(write_run(tmp_path), None)
    plots = write_training_plots(tmp_path / "plots", training, None)
    assert [plot.name for plot in plots] == OF_THE_RUN


def test_a_record_without_points_or_bands_leaves_those_plots_out(
    record: Record, tmp_path: Path
) -> None:
    bare = record.model_copy(update={"shown": {}})
    plots = write_training_plots(tmp_path, read_training(write_run(tmp_path), None), bare)
    assert [plot.name for plot in plots] == OF_THE_RUN


def test_the_words_of_a_plot_have_its_numbers(tmp_path: Path) -> None:
    training = read_training(write_run(tmp_path, [1.2, 0.6]), None)
    words = {plot.name: plot.words for plot in write_training_plots(tmp_path, training, None)}
    assert "validation MAE from 1.20 to 0.60" in words["overall_metrics.png"]
    assert "validation harm from 1.20 to 0.60" in words["per_dimension_mae.png"]


def test_the_metric_that_was_chosen_by_has_a_panel(tmp_path: Path) -> None:
    ranks = {"spearman": [None, -0.04, 0.02]}
    history = write_run(tmp_path, val=ranks, best_by="spearman")
    training = read_training(history, tmp_path / "training_metadata.json")
    plot = write_training_plots(tmp_path, training, None)[0]
    assert (plot.name, plot.panels) == ("overall_metrics.png", 3)
    chosen = "epoch 3 was kept for its validation Spearman."
    assert plot.caption == f"MAE, RMSE and Spearman by epoch; {chosen}"
    assert plot.words.endswith("validation Spearman from - to 0.02")
    by_mae = write_training_plots(tmp_path, read_training(history, None), None)[0]
    assert by_mae.panels == 2 and "Spearman" not in by_mae.caption


@pytest.mark.parametrize(
    ("val", "keys", "least"),
    [
        ({}, ("mae",), (0.0, 1.2)),
        ({}, ("harm_mae", "loss_mae"), (0.0, 1.4)),
        ({"spearman": [-0.5, None, 0.2]}, ("spearman",), (-0.5, 1.0)),
        ({"needle_recall": [0.0, 0.0, 0.0]}, ("needle_recall",), (0.0, 1.0)),
    ],
)
def test_no_marker_is_cut(
    tmp_path: Path, val: dict[str, list[float]], keys: tuple[str, ...], least: tuple[float, float]
) -> None:
    training = read_training(write_run(tmp_path, val=val), None)
    low, high = _limits(training, *keys)
    assert high - least[1] >= 0.05 * (least[1] - least[0])
    assert low < least[0] if val else low == 0.0
