"""Trains MiniLM on EmoBank's official split and reports it on the 1-5 scale, beside its baselines.

    DISTILLERY_DATA=/path/to/data python benchmarks/emobank.py [--seeds 3] [--write]

    emobank_mae=        of the student, mean of its seeds
    emobank_pearson=    the same, mean over the three dimensions
    emobank_ridge_mae=  of TF-IDF + ridge in the same run

EmoBank (Buechel and Hahn 2017, CC-BY-SA 4.0): 10,062 sentences, three scores by people each.
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

from distillery_core.agents.evaluation_baselines import labels_of
from distillery_core.dataset.prepare import prepare
from distillery_core.dataset.rows import read_examples
from distillery_core.files import write_text
from distillery_core.filters import Filter, load_filter
from distillery_core.reports.markdown import table
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
    """What training with one seed gave."""

    seed: int
    cpu_s: float
    wall_s: float
    quality: Quality


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
        folder, dropped = official_split(filter, Path(data), Path(scratch), given.rows)
        found = measure_baselines(filter, settings, folder)
        runs = [run(filter, folder, Path(scratch), settings, n) for n in range(given.seeds)]
    found[f"student, mean of {len(runs)} seeds"] = student = mean_of([one.quality for one in runs])
    place = where(load)
    text = page_text(filter, settings, found, runs, dropped, place)
    print(f"\n{text}\n")
    results = {
        "emobank_mae": f"{student.mae:.4f}",
        "emobank_pearson": f"{student.pearson:.4f}",
        "emobank_ridge_mae": f"{found[TFIDF].mae:.4f}",
    }
    if given.write:
        record = {
            **place,
            "settings": settings.deciding(),
            "rows_left_out": dropped,
            "predictors": {name: asdict(one) for name, one in found.items()},
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


def official_split(
    filter: Filter, data: Path, scratch: Path, rows: int | None = None
) -> tuple[Path, int]:
    """A dataset folder with EmoBank's own split.

    Sentences of training and validation that stand in the test split too, identical or nearly so,
    are left out, as are those of training that stand in validation: the student gets fewer rows
    than its peers, never more.

    Args:
        rows: take the first so many of training.

    Returns:
        The folder, and how many sentences were left out.
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
    return folder, resplit(scratch / "prepared", folder, official, "EmoBank")


def labelled_row(filter: Filter, row: dict[str, Any]) -> dict[str, Any]:
    """A sentence in the labelled format; a label x becomes (x - 1) * 2.5."""
    scores = {name: (float(row["labels"][name]) - 1) * UNIT for name in filter.dimensions}
    article = {"id": row["id"], "title": "", "content": row["text"], "source": row["category"]}
    return {**article, filter.analysis_key: {"dimensions": scores}}


def measure_baselines(filter: Filter, settings: TrainSettings, folder: Path) -> dict[str, Quality]:
    """The listed ones, then ours on the rows of the student."""
    splits = splits_of(folder)
    labels = labels_of(splits.test)
    here = baseline_predictions(filter, settings, splits)
    return LISTED | {
        name: quality(values, labels, UNIT, correlates=name != CONSTANT)
        for name, values in here.items()
    }


def run(filter: Filter, folder: Path, scratch: Path, settings: TrainSettings, seed: int) -> Run:
    """Train with one seed and measure on the official test split."""
    own = replace(settings, seed=seed)
    trained = train_and_predict(filter, folder, scratch / f"seed-{seed}", own)
    labels = labels_of(read_examples(folder / "test.jsonl"))
    found = quality(trained.values, labels, UNIT)
    print(
        f"seed {seed}: MAE {found.mae:.4f}, Pearson {found.pearson:.3f}, "
        f"{trained.cpu_s / 60:.1f} CPU minutes",
        flush=True,
    )
    return Run(seed, trained.cpu_s, trained.wall_s, found)


def page_text(
    filter: Filter,
    settings: TrainSettings,
    found: dict[str, Quality],
    runs: Sequence[Run],
    dropped: int,
    place: dict[str, str],
) -> str:
    """The tables, and what they are about."""
    return "\n\n".join(
        [
            tables(found, filter.dimensions, digits=3),
            runs_table(runs),
            settings_line(settings, FILTER.relative_to(ROOT).as_posix() + "/config.yaml"),
            f"{dropped} sentences of training and validation were left out, since they stand in a "
            "split that is tested or validated on too, identical or nearly so.",
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
