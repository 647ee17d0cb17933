"""From a judged student to scores: what is promoted is what was judged, and one can go back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from distillery_core.cli.main import main
from distillery_core.errors import CheckFailed, GateClosed, UserError
from distillery_core.filters import Filter, resolve_filter
from distillery_core.publish import promotion
from distillery_core.stages import evaluate, gates, promote, score, status
from distillery_core.stages.evaluation_folder import model_in
from distillery_core.stages.project import Project
from distillery_core.student.model_folder import model_sha256
from tests.full_disk import files_of_at_most


def crisis(project: Project) -> Filter:
    return resolve_filter("crisis", project.root)


def approve(project: Project) -> None:
    gates.approve(project, crisis(project), report="evaluation", who="Ada", why="for a test")


def test_a_review_is_promoted_only_with_an_approval(judged: Project, corpus: Path) -> None:
    with pytest.raises(GateClosed, match="no approval"):
        promote.promote(judged, crisis(judged))
    with pytest.raises(UserError, match="no version of crisis is promoted"):
        score.score(judged, "crisis", input=corpus, output=judged.root / "scores.jsonl")
    with pytest.raises(GateClosed, match="--unpromoted"):
        score.score(judged, "crisis:v1", input=corpus, output=judged.root / "scores.jsonl")
    approve(judged)
    entry = promote.promote(judged, crisis(judged), who="Ada")
    assert (entry.version, entry.verdict, entry.approved_by) == (1, "REVIEW", "Ada")
    found = score.score(judged, "crisis", input=corpus, output=judged.root / "scores.jsonl")
    assert found.promoted
    assert found.summary.scored == 350


def test_scores_of_an_unpromoted_model_only_when_told_to(judged: Project, corpus: Path) -> None:
    output = judged.root / "scores.jsonl"
    found = score.score(judged, "crisis:v1", input=corpus, output=output, unpromoted=True)
    assert not found.promoted
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [row["line"] for row in rows] == list(range(1, 351))


@pytest.mark.parametrize("changed", ["model/config.json", "model_evaluation.md"])
def test_other_bytes_close_the_evaluation_gate(judged: Project, changed: str) -> None:
    approve(judged)
    assert gates.evaluation_gate(judged, crisis(judged)).open
    path = judged.home(crisis(judged)) / changed
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert not gates.evaluation_gate(judged, crisis(judged)).open


def test_an_edited_test_split_closes_the_evaluation_gate(judged: Project) -> None:
    approve(judged)
    split = judged.training_dir(crisis(judged)) / "test.jsonl"
    split.write_text("\n".join(split.read_text(encoding="utf-8").splitlines()[1:]), "utf-8")
    state = gates.evaluation_gate(judged, crisis(judged))
    assert any("dataset_sha256" in reason for reason in state.reasons)


def test_without_the_model_the_gate_says_what_it_could_not_check(judged: Project) -> None:
    approve(judged)
    (judged.home(crisis(judged)) / "model").rename(judged.root / "elsewhere")
    state = gates.evaluation_gate(judged, crisis(judged))
    assert not state.open
    assert state.not_checkable == ("model_sha256",)


def test_judging_again_keeps_report_and_approval(judged: Project) -> None:
    approve(judged)
    before = (judged.home(crisis(judged)) / "model_evaluation.md").read_bytes()
    evaluate.evaluate(judged, crisis(judged), mlflow=False)
    assert (judged.home(crisis(judged)) / "model_evaluation.md").read_bytes() == before
    assert gates.evaluation_gate(judged, crisis(judged)).open


def test_judging_a_model_from_elsewhere_leaves_report_and_approval(judged: Project) -> None:
    """Else trying another seed would cost the filter's own model its approval."""
    approve(judged)
    home, other = judged.home(crisis(judged)), judged.root / "seed two"
    shutil.copytree(home / "model", other / "model")
    shutil.copytree(home / "model", home / "aside")
    for name in ("training_history.json", "training_metadata.json"):
        shutil.copy(home / name, other / name)
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    found = evaluate.evaluate(judged, crisis(judged), model_dir=other, mlflow=False)
    assert model_in(other) == model_in(other / "model") == other / "model"
    assert (found.own, found.judged.report_path.parent) == (False, other)
    assert found.predictions == other / "predictions_test.jsonl"
    text = found.judged.report_path.read_text(encoding="utf-8")
    assert "This is not the filter's own model" in text
    assert "distillery approve" not in text and "gate check" not in text
    aside = evaluate.evaluate(judged, crisis(judged), model_dir=home / "aside", mlflow=False)
    place = aside.judged.report_path.parent
    assert place.parent == judged.reports_dir(crisis(judged)) and place.name.startswith("aside-")
    assert before == {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert gates.evaluation_gate(judged, crisis(judged)).open


def test_a_promoted_model_that_was_swapped_is_not_used(judged: Project, corpus: Path) -> None:
    approve(judged)
    promote.promote(judged, crisis(judged))
    config = judged.home(crisis(judged)) / "model" / "config.json"
    config.write_text(config.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(CheckFailed, match="is not the model that was judged"):
        score.score(judged, "crisis", input=corpus, output=judged.root / "scores.jsonl")


def test_training_again_does_not_take_the_model_in_use_away(judged: Project, corpus: Path) -> None:
    approve(judged)
    entry = promote.promote(judged, crisis(judged))
    kept = promote.keep_promoted(judged, crisis(judged))
    assert kept is not None
    config = judged.home(crisis(judged)) / "model" / "config.json"
    config.write_text(config.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert promote.promoted_model(judged, "crisis") == (entry, kept)
    assert promote.keep_promoted(judged, crisis(judged)) is None
    found = score.score(judged, "crisis:v1", input=corpus, output=judged.root / "scores.jsonl")
    assert (found.promoted, found.model_dir) == (True, kept)


def test_no_room_to_keep_the_model_in_use_aside(judged: Project) -> None:
    approve(judged)
    entry = promote.promote(judged, crisis(judged))
    home = judged.home(crisis(judged))
    before = sorted(home.rglob("*"))
    largest = (home / "model" / "model.safetensors").stat().st_size
    with files_of_at_most(largest // 2), pytest.raises(UserError, match="File too large") as caught:
        promote.keep_promoted(judged, crisis(judged))
    assert caught.value.where == str(home / f"model-{entry.model_sha256[:12]}")
    assert sorted(home.rglob("*")) == before


def test_training_over_the_filters_own_folder_by_name_keeps_the_model_in_use(
    judged: Project,
    judged_once: Path,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The seed's form of the command, which names the folder that is the default anyway."""
    approve(judged)
    entry = promote.promote(judged, crisis(judged))
    monkeypatch.chdir(judged.root)
    own = "filters/crisis/v1"
    asked = ["--model-name", str(judged_once.parent / "base"), "--epochs", "1", "--seed", "7"]
    asked += ["--max-length", "64", "--no-mlflow"]
    assert main(["train", "--filter", own, "--output-dir", own, *asked]) == 0, capsys.readouterr()
    trained = judged.home(crisis(judged)) / "model"
    assert model_sha256(trained) != entry.model_sha256
    found = score.score(judged, "crisis", input=corpus, output=judged.root / "scores.jsonl")
    assert (found.promoted, found.summary.scored) == (True, 350)
    assert model_sha256(found.model_dir) == entry.model_sha256


def test_other_score_rules_than_those_promoted_are_refused(judged: Project, corpus: Path) -> None:
    approve(judged)
    promote.promote(judged, crisis(judged))
    config = judged.home(crisis(judged)) / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("name: acute, at: 5.0", "name: acute, at: 4.0"), "utf-8")
    with pytest.raises(CheckFailed, match="score rules have changed"):
        score.score(judged, "crisis", input=corpus, output=judged.root / "scores.jsonl")


def test_rollback_goes_back_to_the_version_before(judged: Project) -> None:
    approve(judged)
    first = promote.promote(judged, crisis(judged), who="Ada")
    folder = judged.root / "filters" / "crisis"
    with pytest.raises(CheckFailed, match="no earlier version"):
        promote.rollback(judged, "crisis")
    newer = first.model_copy(update={"version": 2, "model_sha256": "f" * 64})
    promotion.record(folder, newer)
    assert promote.rollback(judged, "crisis", who="Bob").version == 1
    history = promotion.read_promotions(folder)
    assert [entry.version for entry in history] == [1, 2, 1]
    assert history[0].why == "rolled back from v2"


def test_promoting_the_same_model_twice_changes_nothing(judged: Project) -> None:
    approve(judged)
    promote.promote(judged, crisis(judged), who="Ada")
    promote.promote(judged, crisis(judged), who="Bob")
    assert len(promotion.read_promotions(judged.root / "filters" / "crisis")) == 1


def test_status_says_where_it_stands_and_what_is_next(judged: Project) -> None:
    states = {state.stage: state for state in status.status(judged)}
    assert states["calibration"].detail == "PASS"
    assert states["calibration gate"].state == "open"
    assert states["prepare"].state == "done"
    assert states["evaluation gate"].state == "closed"
    assert "distillery approve" in states["evaluation gate"].next_command
    assert states["promote"].state == "missing"
