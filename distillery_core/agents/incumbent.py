"""The version to compare with, scored on test articles that neither version was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distillery_core.agents.evaluation_evidence import Incumbent
from distillery_core.agents.predicting import predicted_scores
from distillery_core.dataset.duplicates import KnownTexts
from distillery_core.dataset.manifest import MANIFEST, Manifest, load_manifest
from distillery_core.dataset.rows import Example, read_examples
from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.measures.finding import overall_scores
from distillery_core.types import Progress, silent


@dataclass(frozen=True)
class IncumbentModel:
    """A version to compare with.

    Attributes:
        name: for the report.
        data_dir: what it was trained on, which must not be among the compared articles.
        asked_for: whether the user named it; then what cannot be compared is an error, and not
            merely a line that does not apply.
    """

    name: str
    model_dir: Path
    data_dir: Path
    asked_for: bool = False


def score_incumbent(
    filter: Filter,
    model: IncumbentModel,
    manifest: Manifest,
    test: Sequence[Example],
    texts: Sequence[str],
    threads: int | None = None,
    progress: Progress = silent,
) -> Incumbent | str:
    """The incumbent's scores of the test articles that are new to it, or why there are none.

    Args:
        manifest: of the dataset that `test` is of.
        texts: title and content of each, which score rules search.

    Raises:
        CheckFailed: the user named it, and its labels are of another oracle or it scores other
            dimensions: its errors would be measured with another yardstick.
        UserError: its model or data cannot be read.
    """
    reason = _incomparable(filter, model, manifest)
    if reason is not None:
        if model.asked_for:
            raise CheckFailed(f"{model.name} cannot be compared with {filter.label}", [reason])
        return reason
    known = KnownTexts()
    for split in ("train", "val"):
        for one in read_examples(model.data_dir / f"{split}.jsonl"):
            known.add(one.content)
    rows = [row for row, one in enumerate(test) if one.content not in known]
    progress(0, None, f"predicting with {model.name}")
    from distillery_core.student.predict import load_model

    student = load_model(model.model_dir)
    scores = predicted_scores(student, [test[row] for row in rows], threads).deployed
    return Incumbent(
        name=model.name,
        rows=np.array(rows, dtype=np.int64),
        predictions=scores,
        overall=overall_scores(filter, scores, [texts[row] for row in rows]),
    )


def _incomparable(filter: Filter, model: IncumbentModel, manifest: Manifest) -> str | None:
    if not (model.data_dir / MANIFEST).is_file():
        if model.asked_for:
            what = (
                f"what {model.name} was trained on is not there, so its test articles are unknown"
            )
            raise UserError(what, where=model.data_dir)
        return f"the training data of {model.name} are not at hand"
    other = load_manifest(model.data_dir)
    if other.filter.dimensions != filter.dimensions:
        theirs, ours = ", ".join(other.filter.dimensions), ", ".join(filter.dimensions)
        return f"{model.name} scores {theirs}; {filter.label} scores {ours}"
    if set(other.oracles) != set(manifest.oracles):
        theirs, ours = _named(other), _named(manifest)
        return f"{model.name} learned from labels of {theirs}; these are of {ours}"
    return None


def _named(manifest: Manifest) -> str:
    return " and ".join(manifest.oracles) or "an oracle that they do not name"
