"""`distillery sample`: draw a stratified sample for calibration or validation."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distillery_core.cli import options
from distillery_core.cli.console import note, only_json, print_json, say
from distillery_core.cli.results import facts
from distillery_core.cli.verb import single, verb
from distillery_core.cli.work import work

if TYPE_CHECKING:
    from distillery_core.stages.sample import SampleResult

app = single()


@verb(
    app,
    "distillery sample --filter uplifting --input articles.jsonl",
    "distillery sample --filter uplifting --input articles.jsonl --output sample.jsonl \\",
    "    --n-positive 20 --n-negative 20 --n-edge 10 --random-seed 2024",
)
def sample(
    filter: options.FilterOption,
    input: options.InputOption,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Default: a place in datasets/samples/."),
    ] = None,
    n_positive: options.PositiveOption = None,
    n_negative: options.NegativeOption = None,
    n_edge: options.EdgeOption = None,
    random_seed: options.RandomSeedOption = None,
    classes: options.ClassesOption = None,
    embedding_model: options.EmbeddingModelOption = None,
    validate: Annotated[
        bool, typer.Option("--validate", help="A fresh sample, disjoint from all earlier rounds.")
    ] = False,
    allow_short: Annotated[
        bool, typer.Option("--allow-short", help="Draw what there is where a class has too few.")
    ] = False,
    json: options.JsonOption = False,
) -> None:
    """Draw on-topic, off-topic and edge articles; class, reason and seed travel with each."""
    from distillery_core.stages.sample import draw

    project, chosen = options.chosen_filter(filter)
    target = options.output_file(output)
    wish = options.sample_wish(
        n_positive, n_negative, n_edge, random_seed, classes, embedding_model
    )
    with only_json(json), work("sample") as task:
        result = draw(
            project,
            chosen,
            input=input,
            round="validation" if validate else "calibration",
            output=target,
            allow_short=allow_short,
            progress=task.progress,
            **wish,
        )
    if json:
        print_json(facts(result))
        return
    _print(result, project.relative(result.path))
    option = " --validate" if validate else ""
    where = shlex.quote(project.relative(result.path))
    note(f"  -> distillery calibrate --filter {filter} --sample {where}{option}")


def _print(result: SampleResult, path: str) -> None:
    say(f"{path}: {sum(result.drawn.values())} articles, seed {result.seed}")
    for name, asked in result.asked.items():
        say(f"  {name}: {result.drawn.get(name, 0)} of {asked}")
    if result.rejected:
        note(f"{result.rejected} rows could not be used, see {path}.rejected.jsonl")
