"""Trains MiniLM on EmoBank's official split and reports it on the 1-5 scale, beside its baselines.

    DISTILLERY_DATA=/path/to/data python benchmarks/emobank.py [--seeds 3]

EmoBank (Buechel and Hahn 2017, CC-BY-SA 4.0): 10,062 sentences, three scores by people each.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from distillery_core.dataset.manifest import dataset_sha256, load_manifest, write_manifest
from distillery_core.dataset.prepare import prepare
from distillery_core.dataset.rows import Example, read_examples
from distillery_core.files import sha256_file, write_text
from distillery_core.filters import Filter, load_filter
from distillery_core.student import baselines
from distillery_core.student.metrics import Array
from distillery_core.student.predict import load_model, predict
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train

FILTER = Path(__file__).parent / "filters" / "emobank" / "v1"
SPLITS = {"train": "train", "dev": "val", "test": "test"}
KNOWN = {"training mean": (0.197, None), "fine-tuned MiniLM, 15 CPU minutes": (0.160, 0.570)}
"""Baselines measured elsewhere on the same split: MAE and mean Pearson on the 1-5 scale."""


def main() -> None:
    """Train with each seed; print a table and the lines that others read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="write the figures there as JSON")
    arguments = parser.parse_args()
    data = os.environ.get("DISTILLERY_DATA")
    if not data:
        sys.exit("DISTILLERY_DATA is not set: name the folder that holds emobank/")
    filter = load_filter(FILTER)
    with tempfile.TemporaryDirectory() as scratch:
        folder, dropped = official_split(filter, Path(data), Path(scratch))
        test = list(read_examples(folder / "test.jsonl"))
        ridge = figures(_ridge(folder, test), labels_of(test))
        runs = [run(filter, folder, Path(scratch), seed) for seed in range(arguments.seeds)]
    report(filter, ridge, runs, dropped)
    if arguments.output:
        write_text(arguments.output, json.dumps({"ridge": ridge, "runs": runs}, indent=2) + "\n")


def official_split(filter: Filter, data: Path, scratch: Path) -> tuple[Path, int]:
    """A dataset folder with EmoBank's own split.

    Training rows whose text stands in the test split too, identical or nearly so, are left out:
    the student gets fewer rows than its peers, never more.

    Returns:
        The folder, and how many rows were left out.
    """
    rows = list(_rows(data / "emobank" / "emobank.jsonl.gz"))
    labelled = scratch / "labelled.jsonl"
    write_text(labelled, "".join(json.dumps(labelled_row(filter, row)) + "\n" for row in rows))
    folder = scratch / "emobank"
    prepare(filter, labelled, folder)
    official = {row["id"]: SPLITS[row["split"]] for row in rows}
    return folder, _sort_anew(folder, official)


def _sort_anew(folder: Path, official: dict[str, str]) -> int:
    """Write the three files again, each row in its official split; return how many were dropped."""
    lines: dict[str, list[str]] = {name: [] for name in SPLITS.values()}
    found = [
        json.loads(line)
        for name in SPLITS.values()
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    groups: dict[str, set[object]] = {name: set() for name in lines}
    dropped = 0
    for name in ("test", "val", "train"):
        for row in (row for row in found if official[row["id"]] == name):
            group = row.get("group") or row["id"]
            if any(group in groups[other] for other in groups if other != name):
                dropped += 1
                continue
            groups[name].add(group)
            lines[name].append(json.dumps(row))
    for name, kept in lines.items():
        write_text(folder / f"{name}.jsonl", "\n".join(kept) + "\n")
    _describe_anew(folder, {name: len(kept) for name, kept in lines.items()})
    return dropped


def _describe_anew(folder: Path, rows: dict[str, int]) -> None:
    manifest = load_manifest(folder)
    splits = {
        name: split.model_copy(
            update={"sha256": sha256_file(folder / split.file), "rows": rows[name]}
        )
        for name, split in manifest.splits.items()
    }
    anew = {"splits": splits, "dataset_sha256": dataset_sha256(splits)}
    write_manifest(folder, manifest.model_copy(update={**anew, "assigned_by": "EmoBank"}))


def labelled_row(filter: Filter, row: dict[str, Any]) -> dict[str, Any]:
    """A sentence in the labelled format; a label x becomes (x - 1) * 2.5."""
    scores = {name: (float(row["labels"][name]) - 1) * 2.5 for name in filter.dimensions}
    article = {"id": row["id"], "title": "", "content": row["text"], "source": row["category"]}
    return {**article, filter.analysis_key: {"dimensions": scores}}


def run(filter: Filter, folder: Path, scratch: Path, seed: int) -> dict[str, Any]:
    """Train with one seed and measure on the official test split."""
    configured = TrainSettings.from_config(filter.config.training)
    # Sentences of 20 tokens: many at a time, by length, or the calls cost more than the sums.
    settings = replace(
        configured, seed=seed, threads=1, micro_batch_tokens=1024, bucket_by_length=True
    )
    started, cpu = time.monotonic(), time.process_time()
    result = train(filter, folder, scratch / f"seed-{seed}", settings)
    seconds = {"wall_s": time.monotonic() - started, "cpu_s": time.process_time() - cpu}
    test = list(read_examples(folder / "test.jsonl"))
    values = predict(load_model(result.model_dir), test, threads=1).values
    found = figures(values, labels_of(test))
    print(f"seed {seed}: MAE {found['mae']:.4f}, Pearson {found['pearson']:.3f}, "
          f"{seconds['cpu_s'] / 60:.1f} CPU minutes", flush=True)  # fmt: skip
    return {"seed": seed, **found, **seconds}


def figures(values: Array, labels: Array) -> dict[str, Any]:
    """MAE, RMSE and Pearson's r, overall and per dimension, on EmoBank's 1-5 scale."""
    errors = (values - labels) / 2.5
    pearson = [float(np.corrcoef(values[:, at], labels[:, at])[0, 1]) for at in range(3)]
    return {
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt(np.square(errors).mean(axis=0)).mean()),
        "pearson": float(np.mean(pearson)),
        "dimension_mae": np.abs(errors).mean(axis=0).tolist(),
        "dimension_rmse": np.sqrt(np.square(errors).mean(axis=0)).tolist(),
        "dimension_pearson": pearson,
    }


def report(filter: Filter, ridge: dict[str, Any], runs: list[dict[str, Any]], dropped: int) -> None:
    """The table, then the lines `name=value`."""
    print(f"\nEmoBank, official split ({dropped} rows left out that stand in a later split too)")
    names = "".join(f"{name:>11}" for name in filter.dimensions)
    print(f"{'':36}{'MAE':>8}{'RMSE':>8}{'Pearson':>9}{names}")
    for name, (error, pearson) in KNOWN.items():
        print(f"{name:36}{error:8.3f}{'':8}{pearson if pearson else '-':>9}")
    mean = {key: np.mean([one[key] for one in runs], axis=0) for key in ridge}
    for name, row in (("TF-IDF + ridge, here", ridge), (f"student, {len(runs)} seeds", mean)):
        r = "".join(f"{value:11.3f}" for value in row["dimension_pearson"])
        print(f"{name:36}{row['mae']:8.4f}{row['rmse']:8.4f}{row['pearson']:9.3f}{r}")
    minutes = np.mean([one["cpu_s"] for one in runs]) / 60
    print(f"CPU minutes a run, one thread: {minutes:.1f}\n")
    print(f"emobank_mae={mean['mae']:.4f}")
    print(f"emobank_pearson={mean['pearson']:.4f}")
    print(f"emobank_ridge_mae={ridge['mae']:.4f}")


def labels_of(examples: list[Example]) -> Array:
    """Labels, [examples, dimensions]."""
    return np.array([one.labels for one in examples], dtype=np.float32)


def _ridge(folder: Path, test: list[Example]) -> Array:
    train_rows, val = (list(read_examples(folder / f"{name}.jsonl")) for name in ("train", "val"))
    return baselines.tfidf_ridge(
        [one.content for one in train_rows],
        labels_of(train_rows),
        [one.content for one in val],
        labels_of(val),
        [one.content for one in test],
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


if __name__ == "__main__":
    main()
