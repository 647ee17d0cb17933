"""`distillery prepare`: split labels into train, validation and test sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distillery_core.cli import options
from distillery_core.cli.console import note, only_json, print_json, say
from distillery_core.cli.verb import single, verb
from distillery_core.cli.work import work

if TYPE_CHECKING:
    from distillery_core.dataset.manifest import Manifest

app = single()


@verb(
    app,
    "distillery prepare --filter uplifting",
    "distillery prepare --filter filters/uplifting/v1 \\",
    "    --input datasets/labeled/uplifting/labeled_articles.jsonl \\",
    "    --output-dir datasets/training/uplifting \\",
    "    --train-ratio 0.8 --val-ratio 0.1 --test-ratio 0.1",
)
def prepare(
    filter: options.FilterOption,
    input: Annotated[
        Path | None,
        typer.Option(
            "--input", metavar="FILE", help="Labelled articles; default: what `label` wrote."
        ),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", metavar="DIR", help="Default: datasets/training/<filter>."),
    ] = None,
    train_ratio: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share to train on.")] = 0.8,
    val_ratio: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share to choose by.")] = 0.1,
    test_ratio: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share to judge by.")] = 0.1,
    max_bad: options.MaxBadOption = 0.01,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Labels of several oracles or prompts are meant.")
    ] = False,
    json: options.JsonOption = False,
) -> None:
    """Make train.jsonl, val.jsonl and test.jsonl with their manifest, and check the labels.

    Duplicates and near-duplicates stay in one split, tiers keep their shares. Exit code 1 when
    the checks of the labels FAIL.
    """
    from distillery_core.dataset.manifest import check_prepared
    from distillery_core.stages.prepare import prepare as make_dataset

    project, chosen = options.chosen_filter(filter)
    if output_dir is not None:
        options.refuse_unwritable(output_dir / "train.jsonl")
    with only_json(json), work("prepare") as task:
        result = make_dataset(
            project,
            chosen,
            input=input,
            output_dir=output_dir,
            train_ratio=train_ratio,
            val_ratio=val_ratio,
            test_ratio=test_ratio,
            allow_mixed=allow_mixed,
            progress=task.progress,
        )
    if json:
        facts = {"folder": str(result.folder), "manifest": result.manifest.to_json()}
        print_json(facts)
    else:
        _print(result.manifest, project.relative(result.folder))
    if result.manifest.source.rejected:
        note(f"set aside: {project.relative(result.folder)}.rejected.jsonl")
    check_prepared(result.manifest, max_bad)
    if not json:
        note(f"  -> distillery train --filter {filter}")


def _print(manifest: Manifest, folder: str) -> None:
    splits = ", ".join(f"{split.rows} {name}" for name, split in manifest.splits.items())
    say(f"{folder}: {splits}")
    quality = manifest.quality
    say(f"labels: {quality.verdict} ({quality.deciding_line})")
    for line in quality.lines:
        if line.level in {"REVIEW", "FAIL"}:
            say(f"  {line.level}: {line.title}: {line.reason}")
