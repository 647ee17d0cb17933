"""The gates around real reports: what opens them, and every way they have to close."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery_core.agents.rounds import ROUNDS_FILE
from distillery_core.content import shipped_root
from distillery_core.errors import CheckFailed, GateClosed, UserError
from distillery_core.filters import Filter, resolve_filter
from distillery_core.stages import calibrate, gates, label, sample
from distillery_core.stages.oracles import choose_oracle, oracle_identity
from distillery_core.stages.project import Project
from distillery_core.types import Level
from distillery_core.verdicts.gate import GateState


def crisis(project: Project) -> Filter:
    return resolve_filter("crisis", project.root)


def gate(project: Project, oracle: str | None = None) -> GateState:
    chosen = crisis(project)
    identity = oracle_identity(chosen, choose_oracle(project, chosen, oracle))
    return gates.calibration_gate(project, chosen, identity)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_labelling_waits_for_both_rounds(tmp_path: Path, corpus: Path) -> None:
    project = Project(tmp_path)
    with pytest.raises(GateClosed, match="calibration"):
        label.label(project, crisis(project), input=corpus)
    calibrate.calibrate(project, crisis(project), input=corpus)
    with pytest.raises(GateClosed, match="validation"):
        label.label(project, crisis(project), input=corpus)
    assert not project.labelled_path(crisis(project)).exists()


def test_a_review_opens_with_an_approval(calibrated: Project) -> None:
    state = gate(calibrated)
    assert state.open
    assert state.level is Level.REVIEW
    (calibrated.home(crisis(calibrated)) / "approvals.yaml").unlink()
    assert not gate(calibrated).open
    assert "distillery approve" in gate(calibrated).next_command


def test_a_report_edited_by_hand_closes_the_gate(calibrated: Project) -> None:
    edit(calibrated.home(crisis(calibrated)) / "validation_report.md", "REVIEW", "PASS")
    assert not gate(calibrated).open


def test_another_prompt_closes_the_gate(calibrated: Project) -> None:
    home = calibrated.home(crisis(calibrated))
    edit(home / "prompt.md.j2", "experienced duty editor", "duty editor")
    state = gate(calibrated)
    assert not state.open
    assert any("prompt_sha256" in reason for reason in state.reasons)


def test_another_model_under_the_same_oracle_name_closes_the_gate(calibrated: Project) -> None:
    (calibrated.root / "oracles.yaml").write_text(
        "oracles:\n  recorded: {provider: replay, recording: plugin, model: other, paid: false,"
        " price_of: gemini-2.5-flash}\n",
        encoding="utf-8",
    )
    assert any("oracle" in reason for reason in gate(calibrated).reasons)


@pytest.mark.parametrize(
    ("old", "new"),
    [("temperature: 0.0", "temperature: 0.7"), ("max_output_tokens: 700", "max_output_tokens: 90")],
)
def test_the_same_model_asked_in_another_way_closes_the_gate(
    calibrated: Project, old: str, new: str
) -> None:
    edit(calibrated.home(crisis(calibrated)) / "config.yaml", old, new)
    assert any("oracle" in reason for reason in gate(calibrated).reasons)


def test_changed_weights_are_judged_again_from_stored_answers(
    calibrated: Project, corpus: Path
) -> None:
    config = calibrated.home(crisis(calibrated)) / "config.yaml"
    edit(config, "weight: 0.25", "weight: 0.30")
    edit(config, "weight: 0.15", "weight: 0.10")
    state = gate(calibrated)
    assert not state.open
    assert "distillery calibrate" in state.next_command
    again = calibrate.calibrate(calibrated, crisis(calibrated), input=corpus)
    assert again.summary.asked == 0
    assert again.summary.from_ledger == 100


def test_a_forgotten_round_closes_the_gate(calibrated: Project, corpus: Path) -> None:
    """Two samples were scored; the report may not rest on the better one alone."""
    chosen = crisis(calibrated)
    second = sample.draw(
        calibrated, chosen, input=corpus, random_seed=7, n_positive=20, n_negative=15, n_edge=10
    )
    found = calibrate.calibrate(calibrated, chosen, sample=second.path)
    assert found.judged.front.measurements["off_topic_false_positives"].n == 55
    rounds = calibrated.home(chosen) / ROUNDS_FILE
    rows = [json.loads(line) for line in rows_of(rounds)]
    assert [row["seed"] for row in rows] == [2024, 2025, 7]
    rounds.write_text("\n".join(rows_of(rounds)[1:]) + "\n", encoding="utf-8")
    assert any("pool_sha256" in reason for reason in gate(calibrated).reasons)
    rounds.unlink()
    assert "pool_sha256" in gate(calibrated).not_checkable


def rows_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_a_validation_that_was_followed_by_another_prompt_is_spent(calibrated: Project) -> None:
    """Editing the prompt after its validation and editing it back does not make it fresh again."""
    rounds = calibrated.home(crisis(calibrated)) / ROUNDS_FILE
    other = json.loads(rows_of(rounds)[0]) | {"prompt_sha256": "0" * 64, "seed": 9}
    with rounds.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(other) + "\n")
    state = gate(calibrated)
    assert not state.open
    assert any(reason.startswith("validation: pool_sha256") for reason in state.reasons)


def test_samples_pass_without_a_gate_but_a_corpus_is_no_sample(
    tmp_path: Path, corpus: Path
) -> None:
    project = Project(tmp_path)
    drawn = sample.draw(
        project, crisis(project), input=corpus, n_positive=5, n_negative=5, n_edge=0
    )
    found = label.label(project, crisis(project), input=drawn.path, output=tmp_path / "out.jsonl")
    assert found.summary.labelled == 10

    def row(number: int) -> str:
        sample_of = {"class": "on_topic", "reason": "", "seed": 1, "round": "calibration"}
        content = f"Article number {number} about a flood that reached the town of Ely. " * 5
        return json.dumps(
            {"id": str(number), "title": "t", "content": content, "sample": sample_of}
        )

    disguised = tmp_path / "corpus.jsonl"
    disguised.write_text("\n".join(row(n) for n in range(395)), encoding="utf-8")
    with pytest.raises(CheckFailed, match="405 articles labelled as samples"):
        label.label(project, crisis(project), input=disguised, output=tmp_path / "x.jsonl")


def test_approving_names_a_report_that_exists(calibrated: Project) -> None:
    chosen = crisis(calibrated)
    with pytest.raises(UserError, match="no report"):
        gates.approve(calibrated, chosen, report="horoscope", who="Ada", why="why")
    with pytest.raises(UserError, match="needs no approval"):
        gates.approve(calibrated, chosen, report="calibration", who="Ada", why="why")


def test_each_oracles_report_is_approved_by_its_name(calibrated: Project, corpus: Path) -> None:
    """Two oracles share a folder: the report beside the filter is of the one judged last."""
    project, filter = calibrated, crisis(calibrated)
    oracles = (shipped_root() / "oracles.yaml").read_text(encoding="utf-8")
    second = (
        "  second: {provider: replay, recording: plugin, model: other, paid: false, free: true}"
    )
    (project.root / "oracles.yaml").write_text(f"{oracles}\n{second}\n", encoding="utf-8")
    calibrate.calibrate(project, filter, round="validation", input=corpus, oracle="second")
    (project.home(filter) / "approvals.yaml").unlink()
    # The command that the closed gate names opens it.
    waiting = gate(project, "recorded")
    assert "--report validation_report.md" in waiting.next_command
    gates.approve(project, filter, report="validation", who="Ada", why="read", oracle="recorded")
    assert gate(project, "recorded").open
    assert gate(project, "second").next_command.endswith("--oracle second")
    with pytest.raises(UserError, match="no calibration report of second/other"):
        gates.approve(project, filter, report="calibration", who="A", why="w", oracle="second")
    with pytest.raises(UserError, match="an evaluation is of no oracle"):
        gates.approve(project, filter, report="evaluation", who="A", why="w", oracle="second")


def test_a_part_of_the_corpus_does_not_replace_a_longer_batch(tmp_path: Path) -> None:
    batch = tmp_path / "labeled_articles.jsonl"
    label.refuse_shorter(batch, 1)
    batch.write_text("{}\n" * 12, encoding="utf-8")
    label.refuse_shorter(batch, 12)
    with pytest.raises(UserError, match="holds 12 labelled articles") as refused:
        label.refuse_shorter(batch, 10)
    assert refused.value.hint is not None
    assert "--output" in refused.value.hint
