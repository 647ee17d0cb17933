"""`distillery score`: score articles with a promoted student."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distillery_core.cli import options
from distillery_core.cli.console import note, only_json, print_json, say
from distillery_core.cli.verb import single, verb
from distillery_core.cli.work import lines_in, with_total, work

if TYPE_CHECKING:
    from distillery_core.stages.score import ScoreResult

app = single()


@verb(
    app,
    "distillery score --filter uplifting --input articles.jsonl --output scores.jsonl",
    "distillery score --filter crisis:v1 --input articles.jsonl.gz --output s.jsonl --unpromoted",
)
def score(
    filter: options.FilterOption,
    input: options.InputOption,
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="One line an article.")],
    unpromoted: Annotated[
        bool, typer.Option("--unpromoted", help="Use a model that no gate has let through.")
    ] = False,
    intervals: Annotated[
        bool,
        typer.Option("--intervals", help="Add intervals that hold 90 % of the labels."),
    ] = False,
    max_bad: options.MaxBadOption = 0.01,
    threads: options.ThreadsOption = None,
    json: options.JsonOption = False,
) -> None:
    """Write scores, overall, tier or pre-filter reason for every article, in input order.

    A line that cannot be scored goes to <output>.rejected.jsonl with its number and the reason.
    """
    from distillery_core.stages.project import project_of
    from distillery_core.stages.score import score as run_scoring

    options.output_file(output)
    project = project_of(filter)
    with only_json(json), work("score") as task:
        result = run_scoring(
            project,
            filter,
            input=input,
            output=output,
            unpromoted=unpromoted,
            max_bad=max_bad,
            threads=threads,
            intervals=intervals,
            progress=with_total(task.progress, lines_in(input)),
        )
    if json:
        print_json(
            {"filter": result.filter.label, "promoted": result.promoted} | result.summary.to_dict()
        )
    else:
        _print(result)
    result.summary.check()


def _print(result: ScoreResult) -> None:
    summary = result.summary
    tiers = ", ".join(f"{count} {tier}" for tier, count in summary.tiers.items()) or "none"
    which = "promoted" if result.promoted else "not promoted"
    say(f"{summary.output}: {summary.scored} scored with {result.filter.label} ({which})")
    say(f"tiers: {tiers}; {summary.blocked} blocked by the pre-filter")
    if summary.failed:
        note(f"{summary.failed} lines could not be scored, see {summary.rejected_path}")
