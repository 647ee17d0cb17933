"""Cross-validates MiniLM on the 350 scored news articles of the demo, beside its baselines.

    python benchmarks/lee_news.py [--folds 5] [--write]

    news_mae=        of the student, over the predictions of all folds
    news_pearson=    the same, mean over the six dimensions
    news_ridge_mae=  of frozen MiniLM + ridge in the same folds

Each article is scored by the student that saw neither it nor one that is nearly the same; a tenth
of the others chooses the epoch and calibrates. The filter and its settings are the crisis plugin's.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from quality import (
    CONSTANT,
    FROZEN,
    Quality,
    Trained,
    baseline_predictions,
    keep,
    quality,
    settings_line,
    splits_of,
    tables,
    train_and_predict,
    where,
    where_line,
)
from resplit import resplit
from train_setup import crisis, lee

from distillery_core.agents.evaluation_baselines import labels_of
from distillery_core.dataset.prepare import prepare
from distillery_core.dataset.rows import Example
from distillery_core.files import write_text
from distillery_core.filters import Filter
from distillery_core.student.measures.metrics import Array
from distillery_core.student.settings import TrainSettings

BLOCK = "training quality on news"
FOLDS = 5
VALIDATION = 0.1
"""Share of a fold's training articles."""

CONFIG = "plugins/distillery-filter-crisis/src/distillery_filter_crisis/crisis/v1/config.yaml"
STUDENT = "student"
LISTED = {
    "constant (median)": Quality(2.11),
    "TF-IDF + ridge": Quality(1.58),
    "frozen MiniLM + ridge": Quality(1.30),
    "oracle against itself (60 articles)": Quality(0.35),
}
"""Measured elsewhere on the same labels, in other folds."""


@dataclass(frozen=True)
class Fold:
    """What was predicted for the articles that a fold held out, and what the student took."""

    labels: Array
    predictions: dict[str, Array]
    trained: Trained


def main() -> None:
    """Train once for each fold; print the tables, then the lines that others read."""
    given = read_arguments()
    load = os.getloadavg()[0]
    filter = crisis()
    settings = replace(TrainSettings.from_config(filter.config.training), threads=1)
    with tempfile.TemporaryDirectory() as scratch:
        folders = list(fold_folders(filter, Path(scratch)))[: given.folds]
        folds = [run(filter, folder, settings) for folder in folders]
    found = LISTED | together(folds)
    minutes = [fold.trained.cpu_s / 60 for fold in folds]
    place = where(load)
    text = page_text(filter, settings, found, minutes, place)
    print(f"\n{text}\n")
    results = {
        "news_mae": f"{found[STUDENT].mae:.3f}",
        "news_pearson": f"{found[STUDENT].pearson:.3f}",
        "news_ridge_mae": f"{found[FROZEN].mae:.3f}",
    }
    if given.write:
        record = {
            **place,
            "settings": settings.deciding(),
            "predictors": {name: asdict(one) for name, one in found.items()},
            "fold_cpu_minutes": minutes,
        }
        keep("news", record, BLOCK, text, results)
    print("\n".join(f"{name}={value}" for name, value in results.items()))


def read_arguments() -> argparse.Namespace:
    """The command line; a part of the folds is no result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--folds", type=int, default=FOLDS, help="run the first only: a check")
    parser.add_argument("--write", action="store_true", help="renew docs/benchmarks.md")
    given = parser.parse_args()
    if not 1 <= given.folds <= FOLDS:
        parser.error(f"--folds is 1 to {FOLDS}")
    if given.write and given.folds != FOLDS:
        parser.error("--write is for all folds: leave out --folds")
    return given


def fold_folders(filter: Filter, scratch: Path) -> Iterator[Path]:
    """A dataset folder for each fold, whose test split is what the fold holds out.

    Articles that are identical or nearly so are in one fold, and in one split of it.
    """
    from sklearn.model_selection import GroupKFold, GroupShuffleSplit

    rows = prepared_rows(filter, scratch)
    groups = np.array([row.group or row.id for row in rows])
    for number, (known, held_out) in enumerate(
        GroupKFold(FOLDS, shuffle=True, random_state=0).split(groups, groups=groups)
    ):
        draw = GroupShuffleSplit(1, test_size=VALIDATION, random_state=number)
        train, val = next(draw.split(known, groups=groups[known]))
        parts = {"test": held_out, "val": known[val], "train": known[train]}
        split_of = {rows[at].id: name for name, part in parts.items() for at in part}
        folder = scratch / f"fold-{number}"
        if resplit(scratch / "prepared", folder, split_of, f"fold {number} of {FOLDS}"):
            raise AssertionError("articles that are alike stand in two splits")
        yield folder


def prepared_rows(filter: Filter, scratch: Path) -> list[Example]:
    """The recorded articles, in the folder `prepared`; like ones have the same group."""
    dataset = lee().dataset
    labelled = [json.dumps(labelled_row(filter, one)) for one in (*dataset.train, *dataset.val)]
    write_text(scratch / "labelled.jsonl", "\n".join(labelled) + "\n")
    prepare(filter, scratch / "labelled.jsonl", scratch / "prepared")
    splits = splits_of(scratch / "prepared")
    return sorted([*splits.train, *splits.val, *splits.test], key=lambda one: one.id)


def labelled_row(filter: Filter, one: Example) -> dict[str, object]:
    """An article in the labelled format."""
    scores = dict(zip(one.dimension_names, one.labels, strict=True))
    article = {"id": one.id, "title": one.title, "content": one.content}
    return {**article, filter.analysis_key: {"dimensions": scores}}


def run(filter: Filter, folder: Path, settings: TrainSettings) -> Fold:
    """Every predictor on what one fold holds out."""
    splits = splits_of(folder)
    predictions = baseline_predictions(filter, settings, splits)
    trained = train_and_predict(filter, folder, folder / "student", settings)
    fold = Fold(labels_of(splits.test), {**predictions, STUDENT: trained.values}, trained)
    errors = {name: float(np.abs(v - fold.labels).mean()) for name, v in fold.predictions.items()}
    sizes = " + ".join(str(len(part)) for part in (splits.train, splits.val, splits.test))
    told = ", ".join(f"{name} {error:.2f}" for name, error in errors.items())
    print(
        f"{folder.name} ({sizes} articles): {told}; {trained.cpu_s / 60:.1f} CPU minutes",
        flush=True,
    )
    return fold


def together(folds: Sequence[Fold]) -> dict[str, Quality]:
    """Each predictor over the articles of all folds."""
    labels = np.concatenate([fold.labels for fold in folds])
    return {
        name: quality(
            np.concatenate([fold.predictions[name] for fold in folds]),
            labels,
            correlates=name != CONSTANT,
        )
        for name in folds[0].predictions
    }


def page_text(
    filter: Filter,
    settings: TrainSettings,
    found: dict[str, Quality],
    minutes: Sequence[float],
    place: dict[str, str],
) -> str:
    """The tables, and what they are about."""
    return "\n\n".join(
        [
            tables(found, filter.dimensions, digits=2),
            settings_line(settings, CONFIG),
            f"{len(minutes)} folds, drawn with seed 0; validation is drawn with the fold's number, "
            f"training has seed {settings.seed}. CPU minutes of the folds: "
            f"{', '.join(f'{one:.1f}' for one in minutes)}.",
            where_line(place),
        ]
    )


if __name__ == "__main__":
    main()
