from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.cli.main import main
from distillery_core.errors import UserError
from distillery_core.filters import load_filter
from distillery_core.reports.record import read_record
from distillery_core.stages.project import Project
from distillery_core.stages.report_training import plot_training, write_training_report
from tests.reports.training_files import write_run

HOME = "filters/floods/v1"


@pytest.fixture
def trained(judged_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> Project:
    """A judged model with the files of its run; the working directory too."""
    project = judged_project(n=150)
    write_run(project.root / HOME)
    monkeypatch.chdir(project.root)
    return project


def test_plots_and_summary_lie_where_the_seed_has_them(trained: Project) -> None:
    written = plot_training(trained)
    folder = trained.root / "reports/floods_v1_plots"
    assert {path.name for path in folder.iterdir()} == {path.name for path in written.files}
    text = (folder / "training_summary.txt").read_text(encoding="utf-8")
    assert text.startswith("Training of floods:v1\n")
    assert "base model:  package:x/model" in text and "The verdict is" in text
    assert max(map(len, text.splitlines())) <= 78
    assert written.missing == ()


def test_an_evaluation_of_another_model_is_not_shown(trained: Project) -> None:
    write_run(trained.root / HOME, hashes={"model_sha256": "n" * 64})
    written = plot_training(trained)
    [line] = written.missing
    assert "the evaluation at hand is of another model" in line
    assert not (written.folder / "error_per_band.png").exists()
    summary = (written.folder / "training_summary.txt").read_text(encoding="utf-8")
    assert line in summary and "This model has not been judged." in summary


def test_pictures_of_an_earlier_model_are_taken_away(trained: Project) -> None:
    folder = plot_training(trained).folder
    (folder / "mine.png").write_bytes(b"kept")
    write_run(trained.root / HOME, hashes={"model_sha256": "n" * 64})
    written = plot_training(trained)
    kept = {path.name for path in folder.iterdir()}
    assert kept == {path.name for path in written.files} | {"mine.png"}
    assert not {"calibration_curve.png", "error_per_band.png", "predicted_vs_labelled.png"} & kept


def test_a_document_leaves_the_plots_of_another_run_as_they_are(
    trained: Project, tmp_path: Path
) -> None:
    folder = plot_training(trained).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    history = write_run(tmp_path / "other", [2.0, 1.9], hashes={"model_sha256": "n" * 64})
    output = tmp_path / "other" / "r.docx"
    written = write_training_report(trained, history=history, output=output)
    assert written.files == (output,) and output.is_file()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in (trained.root / "reports").iterdir()] == [folder.name]


def test_a_run_elsewhere_has_its_evaluation_beside_its_model(
    trained: Project, tmp_path: Path
) -> None:
    """The filter's own folder holds the evaluation of the filter's own model."""
    home, other = trained.root / HOME, tmp_path / "seed two"
    digest = read_record(home / "model_evaluation.json").evidence["model_sha256"]
    history = write_run(other, hashes={"model_sha256": digest})
    (other / "model").mkdir()
    for name in ("model_evaluation.md", "model_evaluation.json"):
        (home / name).rename(other / name)
    assert plot_training(trained, history=history).missing == ()

    report = other / "model_evaluation.md"
    report.write_text(report.read_text(encoding="utf-8") + "edited\n", encoding="utf-8")
    assert "the evaluation is not whole" in plot_training(trained, history=history).missing[0]

    report.unlink()
    [line] = plot_training(trained, history=history).missing
    assert f"distillery evaluate --filter floods:v1 --model-dir '{other}/model'" in line


def test_an_edited_evaluation_is_not_shown(trained: Project) -> None:
    report = trained.root / HOME / "model_evaluation.md"
    report.write_text(report.read_text(encoding="utf-8") + "edited\n", encoding="utf-8")
    [line] = plot_training(trained).missing
    assert "the evaluation is not whole" in line


def test_a_run_from_elsewhere_is_named_by_its_metadata(trained: Project, tmp_path: Path) -> None:
    history = write_run(tmp_path / "copied", filter_name="storms", filter_version="2.1")
    written = plot_training(trained, history=history)
    assert written.folder == trained.root / "reports/storms_v2_plots"
    assert "the filter is not in this project" in written.missing[0]


def test_a_run_that_names_nobody_needs_a_name(trained: Project, tmp_path: Path) -> None:
    history = write_run(tmp_path / "copied")
    history.with_name("training_metadata.json").unlink()
    with pytest.raises(UserError, match="does not say which filter it is of"):
        plot_training(trained, history=history)
    floods = load_filter(trained.root / HOME)
    missing = plot_training(trained, floods, history=history).missing
    assert "training_metadata.json is not at hand" in missing[0]


def test_a_hostile_name_in_the_metadata_makes_no_path(trained: Project, tmp_path: Path) -> None:
    history = write_run(tmp_path / "v1", filter_name="../../up", filter_version="1")
    written = plot_training(trained, history=history)
    assert written.folder.parent == trained.root / "reports"


def test_a_run_of_another_filter_is_refused(trained: Project, tmp_path: Path) -> None:
    history = write_run(tmp_path / "other", filter_name="storms")
    with pytest.raises(UserError, match="is the run of 'storms', not of 'floods'"):
        write_training_report(trained, load_filter(trained.root / HOME), history=history)


def test_without_a_run_it_says_what_to_do(judged_project: Callable[..., Project]) -> None:
    with pytest.raises(UserError, match="no filter has a trained model yet"):
        plot_training(judged_project())


def test_the_verbs(trained: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["report", "docx", "--filter", HOME]) == 0
    assert capsys.readouterr().out == "reports/floods_v1_training_report.docx\n"
    assert (trained.root / "reports/floods_v1_training_report.docx").is_file()
    history = f"{HOME}/training_history.json"
    assert main(["report", "plots", "--history", history, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "reports/floods_v1_plots/loss_curves.png" in told["files"] and told["not_shown"] == []
    write_run(trained.root / HOME, hashes={})
    assert main(["report", "plots", "--output-dir", str(tmp_path / "elsewhere")]) == 0
    found = capsys.readouterr()
    assert "not shown: results on test articles" in found.err
    assert (tmp_path / "elsewhere/training_summary.txt").is_file()
    assert main(["report", "docx", "--output", "."]) == 2
