"""Connects steps: the parts that the single pipelines and `distill` share.

Each function is called inside a pipeline, takes and returns artefacts to come, and adds the named
steps to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery_core.pipelines import depends
from distillery_core.pipelines.scope import Scope
from distillery_core.pipelines.tracker import stack_tracker
from distillery_core.steps.calibrate import calibrate
from distillery_core.steps.evaluate import evaluate
from distillery_core.steps.existing import deliver, existing
from distillery_core.steps.gates import calibration_gate, evaluation_gate, validation_gate
from distillery_core.steps.label import label
from distillery_core.steps.prepare import prepare
from distillery_core.steps.promote import promote
from distillery_core.steps.train import train
from distillery_core.steps.verdict import FileRef

Artefact = Any
"""An artefact to come; ZenML's type for it is not public."""

CALIBRATION_STEPS = ("calibration", "calibration_gate", "validation", "validation_gate")
EVALUATION_STEPS = ("evaluate", "evaluation_gate")

Ratios = tuple[float, float, float]


@dataclass(frozen=True)
class Articles:
    """What rounds are scored on: articles to draw samples from, or the samples themselves."""

    corpus: FileRef | None = None
    calibration: FileRef | None = None
    validation: FileRef | None = None

    @classmethod
    def of(
        cls, scope: Scope, corpus: str | None, calibration: str | None, validation: str | None
    ) -> Articles:
        """Hash what was given.

        Raises:
            UserError: a file is missing.
        """
        found = [
            FileRef.of(scope.path(given)) if given else None
            for given in (corpus, calibration, validation)
        ]
        return cls(*found)

    def for_round(self, round: str) -> dict[str, Any]:
        """The parameters of a round's step."""
        sample = self.calibration if round == "calibration" else self.validation
        if sample is None and self.corpus is None:
            raise ValueError(f"neither input nor a sample for the {round} round")
        return {"articles": sample or self.corpus, "is_sample": sample is not None}


def calibrated(scope: Scope, articles: Articles, read: bool, probes: bool) -> Artefact:
    """Both rounds with their gates; returns the permit to label."""
    how = {"read": read, "probes": probes}
    shared = {**scope.place, "made_from": depends.of_rounds(scope), **how}
    report, verdict, sample = _round("calibration")(
        **shared, **articles.for_round("calibration"), round="calibration", id="calibration"
    )
    first = calibration_gate(**scope.place, verdict=verdict, id="calibration_gate")
    second_report, _, second_sample = _round("validation")(
        **shared,
        **articles.for_round("validation"),
        round="validation",
        permit=first,
        earlier=sample,
        id="validation",
    )
    return validation_gate(
        **scope.place,
        approvals=scope.approvals_sha256,
        calibration=report,
        validation=second_report,
        calibration_sample=sample,
        validation_sample=second_sample,
        id="validation_gate",
    )


def calibrated_before(scope: Scope) -> Artefact:
    """Only the gate, over the reports that lie in the project."""
    approvals = scope.approvals_sha256
    return validation_gate(**scope.place, approvals=approvals, id="validation_gate")


def labelled(
    scope: Scope, articles: FileRef, limit: int | None, max_bad: float, permit: Artefact
) -> tuple[Artefact, Artefact]:
    """Batch labelling; returns the labelled articles and the rows that were set aside."""
    labels, aside = label(
        **scope.place,
        made_from=depends.of_labels(scope),
        articles=articles,
        limit=limit,
        max_bad=max_bad,
        permit=permit,
        id="label",
    )
    return labels, aside


def prepared(scope: Scope, labels: Artefact, ratios: Ratios, max_bad: float) -> Artefact:
    """The dataset."""
    return prepare(
        **scope.place,
        made_from=depends.of_dataset(scope),
        ratios=ratios,
        max_bad=max_bad,
        labelled=labels,
        id="prepare",
    )


def trained(scope: Scope, dataset: Artefact, training: dict[str, Any]) -> Artefact:
    """The student."""
    return train.with_options(experiment_tracker=stack_tracker())(
        **scope.place,
        made_from=depends.of_model(scope, training),
        training=training,
        dataset=dataset,
        id="train",
    )


def evaluated(
    scope: Scope,
    dataset: Artefact,
    model: Artefact,
    read: bool,
    labels: Artefact | None = None,
    aside: Artefact | None = None,
) -> Artefact:
    """The evaluation with its gate; returns the permit to promote."""
    report, _, details = evaluate.with_options(experiment_tracker=stack_tracker())(
        **scope.place,
        made_from=depends.of_evaluation(scope, read),
        read=read,
        dataset=dataset,
        model=model,
        id="evaluate",
    )
    return evaluation_gate(
        **scope.place,
        approvals=scope.approvals_sha256,
        report=report,
        dataset=dataset,
        model=model,
        details=details,
        labelled=labels,
        set_aside=aside,
        id="evaluation_gate",
    )


def promoted(scope: Scope, permit: Artefact) -> None:
    """The accepted model scores from now on."""
    promote(**scope.place, permit=permit, id="promote")


def lying_there(scope: Scope, name: str, *paths: Path) -> Artefact:
    """Files of the project as they are; the step is called `name`."""
    names = [scope.project.relative(path) for path in paths]
    return existing(project=str(scope.project.root), names=names, id=name)


def delivered(scope: Scope, files: Artefact, aside: Artefact | None = None) -> None:
    """The end of a pipeline that makes files."""
    deliver(project=str(scope.project.root), files=files, set_aside=aside, id="deliver")


def _round(name: str) -> Any:
    return calibrate.with_options(substitutions={"round": name})
