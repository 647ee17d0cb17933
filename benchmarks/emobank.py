"""Trains MiniLM on EmoBank's official split and reports it on the 1-5 scale, beside its baselines.

    DISTILLERY_DATA=/path/to/data python benchmarks/emobank.py [--seeds 3] [--write]

    emobank_unseen_mae=      as below, of the test sentences that stand in no other split
    emobank_unseen_pearson=
    emobank_mae=             of the student, mean of its seeds
    emobank_pearson=         the same, mean over the three dimensions
    emobank_ridge_mae=       of TF-IDF + ridge in the same run

EmoBank (Buechel and Hahn 2017, CC-BY-SA 4.0): 10,062 sentences, three scores by people each. Its
split puts like texts on both sides: "Sincerely," is trained on and tested. The baselines were
measured on the split as it is, so the student is too; what it gives sentences that it cannot have
seen is reported beside it. `distillery prepare` would not split like that.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from page import ROOT
from quality import (
    CONSTANT,
    TFIDF,
    Quality,
    baseline_predictions,
    keep,
    mean_of,
    quality,
    settings_line,
    splits_of,
    tables,
    train_and_predict,
    where,
    where_line,
)
from resplit import resplit

from distillery_core.agents.evaluation_baselines import Splits, labels_of
from distillery_core.dataset.prepare import prepare
from distillery_core.files import write_text
from distillery_core.filters import Filter, load_filter
from distillery_core.reports.markdown import table
from distillery_core.student.measures.metrics import Array
from distillery_core.student.settings import TrainSettings

FILTER = Path(__file__).parent / "filters" / "emobank" / "v1"
BLOCK = "training quality"
UNIT = 2.5
"""A step of the 1-5 scale on the scale of 0-10."""

SPLITS = {"train": "train", "dev": "val", "test": "test"}
LISTED = {
    "training mean": Quality(0.197),
    "TF-IDF of words and characters + ridge": Quality(0.178, pearson=0.414),
    "frozen MiniLM + ridge": Quality(0.174, pearson=0.468),
    "MiniLM fine-tuned, 2 epochs, 15 minutes on one core": Quality(
        0.160, pearson=0.570, dimension_pearson=(0.750, 0.530, 0.429)
    ),
}
"""Measured elsewhere on the same split."""


@dataclass(frozen=True)
class Run:
    """What training with one seed gave; `unseen` is of sentences that stand in no other split."""

    seed: int
    cpu_s: float
    wall_s: float
    quality: Quality
    unseen: Quality


@dataclass(frozen=True)
class Test:
    """The test split: labels [sentences, dimensions] on 0-10, and which sentences (bool) stand in
    no other split, identical or nearly so."""

    labels: Array
    unseen: Array

    @classmethod
    def of(cls, splits: Splits) -> Test:
        """Read it, by the groups of like texts that `prepare` named."""
        known = {one.group for one in (*splits.train, *splits.val) if one.group}
        unseen = np.array([one.group not in known for one in splits.test])
        return cls(labels_of(splits.test), unseen)

    def measure(self, values: Array, correlates: bool = True) -> tuple[Quality, Quality]:
        """Of all sentences, and of the unseen ones; on the scale of 1-5."""
        every = quality(values, self.labels, UNIT, correlates)
        return every, quality(values[self.unseen], self.labels[self.unseen], UNIT, correlates)


def main() -> None:
    """Train with each seed; print the tables, then the lines that others read."""
    given = read_arguments()
    data = os.environ.get("DISTILLERY_DATA")
    if not data:
        sys.exit("DISTILLERY_DATA is not set: name the folder that holds emobank/")
    load = os.getloadavg()[0]
    filter = load_filter(FILTER)
    settings = replace(TrainSettings.from_config(filter.config.training), threads=1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = official_split(filter, Path(data), Path(scratch), given.rows)
        splits = splits_of(folder)
        test = Test.of(splits)
        found, unseen = measure_baselines(filter, settings, splits, test)
        runs = [run(filter, folder, Path(scratch), settings, n, test) for n in range(given.seeds)]
    student = f"student, mean of {len(runs)} seeds"
    found[student] = mean_of([one.quality for one in runs])
    unseen[student] = mean_of([one.unseen for one in runs])
    place = where(load)
    text = page_text(filter, settings, found, unseen, runs, test, place)
    print(f"\n{text}\n")
    results = {
        "emobank_unseen_mae": f"{unseen[student].mae:.4f}",
        "emobank_unseen_pearson": f"{unseen[student].pearson:.4f}",
        "emobank_mae": f"{found[student].mae:.4f}",
        "emobank_pearson": f"{found[student].pearson:.4f}",
        "emobank_ridge_mae": f"{found[TFIDF].mae:.4f}",
    }
    if given.write:
        record = {
            **place,
            "settings": settings.deciding(),
            "predictors": {name: asdict(one) for name, one in found.items()},
            "unseen_sentences": int(test.unseen.sum()),
            "predictors_unseen": {name: asdict(one) for name, one in unseen.items()},
            "runs": [asdict(one) for one in runs],
        }
        keep("emobank", record, BLOCK, text, results)
    print("\n".join(f"{name}={value}" for name, value in results.items()))


def read_arguments() -> argparse.Namespace:
    """The command line; a part of the rows is no result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, help="train on the first rows only: checks the script")
    parser.add_argument("--write", action="store_true", help="renew docs/benchmarks.md")
    given = parser.parse_args()
    if given.write and given.rows is not None:
        parser.error("--write is for all rows: leave out --rows")
    return given


def official_split(filter: Filter, data: Path, scratch: Path, rows: int | None = None) -> Path:
    """A dataset folder with EmoBank's own split, as it is.

    Args:
        rows: take the first so many of training.
    """
    with gzip.open(data / "emobank" / "emobank.jsonl.gz", "rt", encoding="utf-8") as lines:
        every = list(map(json.loads, lines))
    ids = {row["id"] for row in [row for row in every if row["split"] == "train"][:rows]}
    chosen = [row for row in every if row["split"] != "train" or row["id"] in ids]
    labelled = scratch / "labelled.jsonl"
    write_text(labelled, "".join(json.dumps(labelled_row(filter, row)) + "\n" for row in chosen))
    prepare(filter, labelled, scratch / "prepared")
    folder = scratch / "emobank"
    official = {row["id"]: SPLITS[row["split"]] for row in chosen}
    resplit(scratch / "prepared", folder, official, "EmoBank", keep_alike=True)
    return folder


def labelled_row(filter: Filter, row: dict[str, Any]) -> dict[str, Any]:
    """A sentence in the labelled format; a label x becomes (x - 1) * 2.5."""
    scores = {name: (float(row["labels"][name]) - 1) * UNIT for name in filter.dimensions}
    article = {"id": row["id"], "title": "", "content": row["text"], "source": row["category"]}
    return {**article, filter.analysis_key: {"dimensions": scores}}


def measure_baselines(
    filter: Filter, settings: TrainSettings, splits: Splits, test: Test
) -> tuple[dict[str, Quality], dict[str, Quality]]:
    """The listed ones, then ours on the rows of the student; and ours on the unseen sentences."""
    here = baseline_predictions(filter, settings, splits)
    found = {name: test.measure(values, name != CONSTANT) for name, values in here.items()}
    every = {name: one for name, (one, _) in found.items()}
    return LISTED | every, {name: one for name, (_, one) in found.items()}


def run(
    filter: Filter, folder: Path, scratch: Path, settings: TrainSettings, seed: int, test: Test
) -> Run:
    """Train with one seed and measure on the official test split."""
    own = replace(settings, seed=seed)
    trained = train_and_predict(filter, folder, scratch / f"seed-{seed}", own)
    found, unseen = test.measure(trained.values)
    print(
        f"seed {seed}: MAE {found.mae:.4f}, Pearson {found.pearson:.3f}, "
        f"{trained.cpu_s / 60:.1f} CPU minutes",
        flush=True,
    )
    return Run(seed, trained.cpu_s, trained.wall_s, found, unseen)


def page_text(
    filter: Filter,
    settings: TrainSettings,
    found: dict[str, Quality],
    unseen: dict[str, Quality],
    runs: Sequence[Run],
    test: Test,
    place: dict[str, str],
) -> str:
    """The tables, and what they are about."""
    return "\n\n".join(
        [
            tables(found, filter.dimensions, digits=3),
            runs_table(runs),
            settings_line(settings, FILTER.relative_to(ROOT).as_posix() + "/config.yaml"),
            f"{int((~test.unseen).sum())} of the {len(test.unseen)} test sentences stand in "
            "another split too, identical or nearly so; the listed baselines were measured on the "
            f"split as it is. The other {int(test.unseen.sum())} by themselves:",
            tables(unseen, filter.dimensions, digits=3),
            where_line(place),
        ]
    )


def runs_table(runs: Sequence[Run]) -> str:
    """One row a seed."""
    rows = (
        (
            str(one.seed),
            f"{one.quality.mae:.4f}",
            f"{one.quality.rmse:.4f}",
            f"{one.quality.pearson:.4f}",
            f"{one.cpu_s / 60:.1f}",
            f"{one.wall_s / 60:.1f}",
        )
        for one in runs
    )
    head = ("seed", "MAE", "RMSE", "Pearson", "CPU minutes", "minutes")
    return table(head, rows, right=range(6))


if __name__ == "__main__":
    main()
