"""Advice for a student whose base stayed as it was names nothing that has no effect on it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.agents.definition import load_agent
from distillery_core.agents.evaluate import evaluate_model
from distillery_core.agents.publishing import Judged
from distillery_core.reports.record import read_record, record_path
from distillery_core.reports.templates import render_text
from distillery_core.reports.views import rivals_of
from distillery_core.student.testing import labelled_rows, tiny_base, tiny_filter, write_rows

pytestmark = pytest.mark.usefixtures("without_plots")

REPOSITORY = Path(__file__).resolve().parents[2]
NO_EFFECT = re.compile(r"--epochs|more epochs|fewer epochs|earning rate|weight_decay|warm", re.I)
TRAIN_BASE = "`--method full` or `--method lora`"
Evaluate = Callable[..., Judged]


@pytest.fixture(scope="module")
def evaluate_frozen(tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """A frozen student on labels that its texts do not explain, trained and judged."""
    from distillery_core.dataset.prepare import prepare
    from distillery_core.student.settings import TrainSettings
    from distillery_core.student.training import train

    root = tmp_path_factory.mktemp("frozen")
    filter = tiny_filter(root)
    rows, key = labelled_rows(filter, 160), filter.analysis_key
    labels = [row[key] for row in rows]
    rows = [row | {key: other} for row, other in zip(rows, labels[7:] + labels[:7], strict=True)]
    prepare(filter, write_rows(root / "l.jsonl", rows), root / "data", project=REPOSITORY)
    base = str(tiny_base(root / "base", "bert"))

    def judged(head: str, **more: Any) -> Judged:
        asked = TrainSettings(
            model_name=base, max_length=64, method="frozen", frozen_head=head, device="cpu", **more,
        )  # fmt: skip
        train(filter, root / "data", filter.folder, asked)
        home = filter.folder
        return evaluate_model(filter, home / "model", root / "data", home, REPOSITORY).judged

    return judged


def test_a_ridge_is_not_told_of_epochs(evaluate_frozen: Evaluate) -> None:
    judged = evaluate_frozen("ridge")
    told = "\n".join(judged.recommendations)
    assert not NO_EFFECT.search(told) and "head_epochs" not in told
    assert "usable yet" in told
    assert f"training the base too, which stayed as it was under a head: {TRAIN_BASE}" in told
    record = read_record(record_path(judged.report_path))
    assert (record.shown["frozen_head"], record.shown["kept_last"]) == ("ridge", False)
    assert ", not trained: a ridge head on it |" in judged.report.body
    own, tfidf, *others = rivals_of(record)
    assert own.low is None and all(one.low <= one.high for one in (tfidf, *others))
    line = judged.front.measurements["against_tfidf"]
    assert (tfidf.low, tfidf.high) == (line.low, line.high)
    assert f"| {own.mae - tfidf.mae:+.3f} ({line.low:+.3f} to " in judged.report.body


def test_an_mlp_head_whose_last_gain_may_be_chance_is_not_fitted_longer(
    evaluate_frozen: Evaluate,
) -> None:
    judged = evaluate_frozen("mlp", head_epochs=12)
    assert judged.front.measurements["record_agrees"].value == 0, "its head counts too"
    told = "\n".join(judged.recommendations)
    assert not NO_EFFECT.search(told) and TRAIN_BASE in told
    shown = read_record(record_path(judged.report_path)).shown
    assert shown["kept_last"] is False and shown["kept_epoch"] == 12
    assert "<details><summary>All 12 epochs</summary>" in judged.report.body
    assert shown["head_still_gaining"] is False and "head_epochs" not in told


FACTS: dict[str, Any] = {
    "title": "T", "reason": "r", "value": "1.3", "limit": "< 1", "n": 9, "count": 1, "note": "n",
    "minimum": 30, "filter": "f:v1", "model_name": "a/b", "train_examples": 100, "epochs_run": 3,
    "kept_epoch": 3, "weakest_band": "7-8", "weakest_band_n": 9, "weakest_band_mae": 1.4,
    "poor_dimensions": ["heat"], "worst_dimension": "heat", "worst_dimension_mae": 1.4,
    "validation_train_gap": 0.3, "kept_last": False, "still_gaining": False, "frozen_head": None,
    "head_still_gaining": False,
}  # fmt: skip


def _every_action(**facts: Any) -> list[str]:
    agent = load_agent("model_evaluation", REPOSITORY)
    texts = [
        text
        for action in agent.declared.actions.values()
        for text in (action.review, action.fail, action.insufficient)
        if text
    ]
    where = agent.folder / "agent.yaml"
    return [str(render_text(text, {**FACTS, **facts}, where=where)) for text in texts]


@pytest.mark.parametrize("kept_last", [True, False])
@pytest.mark.parametrize("gaining", [True, False])
def test_more_and_fewer_epochs_are_never_advised_together(kept_last: bool, gaining: bool) -> None:
    told = "\n".join(_every_action(kept_last=kept_last, still_gaining=kept_last and gaining))
    assert ("more epochs" in told) is (kept_last and gaining)
    assert ("fewer epochs" in told) is not kept_last
    assert "--method" not in told


@pytest.mark.parametrize("head", ["ridge", "mlp"])
@pytest.mark.parametrize("gaining", [True, False])
def test_no_action_for_a_frozen_base_names_what_has_no_effect(head: str, gaining: bool) -> None:
    every = _every_action(frozen_head=head, head_still_gaining=head == "mlp" and gaining)
    assert not [text for text in every if NO_EFFECT.search(text)]
    assert sum(TRAIN_BASE in text for text in every) >= 5
    assert any("head_epochs: 6" in text for text in every) is (head == "mlp" and gaining)
