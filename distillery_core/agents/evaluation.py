"""The model evaluation agent: from evidence to a verdict, its report and its plots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from distillery_core.agents import evaluation_figures as figures
from distillery_core.agents.calibration_lines import Measured
from distillery_core.agents.definition import Agent, load_agent
from distillery_core.agents.evaluation_calibration import calibration_on_test
from distillery_core.agents.evaluation_evidence import EvaluationEvidence
from distillery_core.agents.evaluation_lines import evaluation_measurements
from distillery_core.agents.evaluation_people import people_on_test
from distillery_core.agents.evaluation_points import points
from distillery_core.agents.evidence_text import evaluation_text
from distillery_core.agents.learning import learning
from distillery_core.agents.publishing import Evidence, Judged, publish
from distillery_core.agents.reader import Reader
from distillery_core.agents.reading import Lowering, read_evidence
from distillery_core.filters.filter import Filter
from distillery_core.reports import plots
from distillery_core.verdicts.decision import Decision, decide

AGENT = "model_evaluation"
ROUND = "evaluation"
PLOTS = "model_evaluation_plots"


def judge_evaluation(
    filter: Filter,
    evidence: EvaluationEvidence,
    folder: Path,
    project: Path,
    reader: Reader | None = None,
    own: bool = True,
) -> Judged:
    """Judge a model and write `model_evaluation.md` with its plots beside it.

    The same evidence gives the same bytes.

    Args:
        folder: where the report is written: the filter's folder in the project, or for a model
            from elsewhere that model's.
        project: where `agents/` is looked up first.
        reader: a model that reads the evidence; None leaves that out, and the report says so.
        own: whether it is the filter's own model, which alone can be approved and promoted.
    """
    agent = load_agent(AGENT, project)
    overrides = filter.config.deployment.criteria
    table = agent.table(ROUND, overrides, filter.folder / "config.yaml")
    measured = evaluation_measurements(evidence, filter.operating_point)
    computed = decide(table, measured, evidence.kind)
    context = {**_context(agent, filter, evidence, measured, computed), "own": own}
    settings = agent.declared.reading
    worst = figures.worst_articles(evidence, settings.worst)
    shown = evaluation_text(filter, computed, context, worst, settings)
    read = read_evidence(agent, reader, "evaluation", shown, edits=False)
    lowered = Lowering(reading=read.reading).lowered
    decision = decide(table, measured, evidence.kind, lowered, read.said)
    draw(folder / PLOTS, evidence)
    front = Evidence(evidence.hashes, _counts(evidence), _numbers(context))
    return publish(
        agent,
        filter,
        ROUND,
        decision,
        measured,
        front,
        read,
        lowered,
        context,
        folder,
        evidence.kind,
    )


def _context(
    agent: Agent,
    filter: Filter,
    evidence: EvaluationEvidence,
    measured: Measured,
    computed: Decision,
) -> dict[str, Any]:
    """Everything the template shows that is no line of the table."""
    metadata = evidence.metadata
    dimensions = figures.dimension_results(evidence)
    noise = [one.noise for one in dimensions if one.noise is not None]
    floor = sum(noise) / len(noise) if noise else None
    return {
        **figures.action_facts(evidence, measured, computed),
        "date": evidence.date,
        "kind": evidence.kind,
        "kind_reason": evidence.kind_reason,
        "measured": measured,
        "dimensions": dimensions,
        "best": [one.name for one in dimensions if one.word == "best"],
        "challenging": [one.name for one in dimensions if one.word == "challenging"],
        "splits": figures.split_results(evidence),
        "epochs": figures.epoch_results(evidence),
        "bands": figures.bands(evidence),
        "rivals": figures.rivals(evidence),
        "finding": figures.finding(evidence, filter.operating_point),
        "accuracy": figures.accuracy(evidence),
        "noise_floor": floor,
        "least_error": None if floor is None else floor / math.sqrt(2),
        "worst": figures.worst_cases(
            evidence, agent.declared.reading.worst, filter.config.reports.excerpt_chars
        ),
        "reliability": figures.reliability(evidence),
        "calibration": calibration_on_test(evidence),
        "learning": learning(evidence.learning, evidence.test.groups)
        if evidence.learning
        else None,
        "speed": evidence.speed,
        "size_bytes": evidence.size_bytes,
        "num_parameters": metadata.get("num_parameters"),
        "num_trainable_parameters": metadata.get("num_trainable_parameters"),
        "training_device": str(metadata.get("device", "")),
        "training_seconds": metadata.get("seconds"),
        "incumbent": evidence.incumbent.name if evidence.incumbent else None,
        "no_incumbent": evidence.no_incumbent,
        "predictions_sha256": evidence.predictions_sha256,
        "warnings": evidence.warnings,
        "people": people_on_test(evidence),
        "points": points(evidence),
        "plots": Markup(PLOTS),  # noqa: S704  # our own constant, part of an address
    }


def _counts(evidence: EvaluationEvidence) -> dict[str, int]:
    train = evidence.metadata.get("train_examples")
    counts = {"val": len(evidence.val), "test": len(evidence.test)}
    return {"train": train, **counts} if isinstance(train, int) else counts


_LISTS = ("dimensions", "splits", "epochs", "bands", "rivals")
_PLAIN = (
    "date",
    "kind_reason",
    "accuracy",
    "noise_floor",
    "least_error",
    "size_bytes",
    "num_parameters",
    "num_trainable_parameters",
    "model_name",
    "kept_epoch",
    "training_seconds",
    "incumbent",
    "predictions_sha256",
)


def _numbers(context: Mapping[str, Any]) -> dict[str, Any]:
    speed = context["speed"]
    return {
        **{name: context[name] for name in _PLAIN},
        **{name: [asdict(one) for one in context[name]] for name in _LISTS},
        "finding": asdict(context["finding"]),
        "reliability": asdict(context["reliability"]),
        "learning": asdict(context["learning"]) if context["learning"] else None,
        "speed": asdict(speed) if speed else None,
        "people": context["people"].numbers() if context["people"] else None,
        "calibration": context["calibration"].numbers() if context["calibration"] else None,
    }


def draw(folder: Path, evidence: EvaluationEvidence) -> None:
    """The report's plots as PNG files."""
    results = figures.dimension_results(evidence)
    errors = {
        "this model": figures.columns_of(results, "mae"),
        "TF-IDF + ridge": figures.columns_of(results, "tfidf_mae"),
        "constant": figures.columns_of(results, "constant_mae"),
    }
    test, names = evidence.test, evidence.dimensions
    plots.predicted_vs_labelled(
        folder / "predicted_vs_labelled.png", test.predictions, test.labels, names
    )
    plots.dimension_errors(folder / "per_dimension_mae.png", names, errors)
    bins = figures.reliability(evidence).bins
    plots.reliability(
        folder / "reliability.png",
        [
            (one.predicted, one.labelled, one.n)
            for one in bins
            if one.predicted is not None and one.labelled is not None
        ],
    )
    plots.epochs(
        folder / "epochs.png", evidence.train_errors, evidence.val_errors, evidence.kept_epoch
    )
