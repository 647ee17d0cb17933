"""`distillery label`: ask the oracle about a whole corpus, once its prompt has passed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distillery_core.cli import options
from distillery_core.cli.console import note, only_json, print_json, say
from distillery_core.cli.money import ASK_ABOVE_USD, confirm
from distillery_core.cli.results import print_summary, summary_facts
from distillery_core.cli.verb import single, verb
from distillery_core.cli.work import with_total, work
from distillery_core.errors import UserError

if TYPE_CHECKING:
    from distillery_core.stages.label import LabelResult

app = single()

LABELLED = "labeled_articles.jsonl"


@verb(
    app,
    "distillery label --filter uplifting --input articles.jsonl --budget 8",
    "distillery label --filter filters/uplifting/v1 --source sample.jsonl \\",
    "    --output-dir labelled --llm gemini-flash --batch-size 50 --max-batches 1",
)
def label(
    filter: options.FilterOption,
    input: options.InputOption,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Default: a place in datasets/labeled/."),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", metavar="DIR", help=f"Write {LABELLED} into this folder."),
    ] = None,
    oracle: options.OracleOption = None,
    batch_size: options.ConcurrencyOption = None,
    max_batches: Annotated[
        int | None, typer.Option(min=1, help="Times --batch-size: at most that many articles.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most that many articles.")] = None,
    budget: options.BudgetOption = None,
    ask_above: options.AskAboveOption = ASK_ABOVE_USD,
    yes: options.YesOption = False,
    max_bad: options.MaxBadOption = 0.01,
    more_samples: options.MoreSamplesOption = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again where all attempts have failed.")
    ] = False,
    json: options.JsonOption = False,
) -> None:
    """Label articles; each answer is durable before the next one is counted.

    Needs both calibration gates open, unless the input is a sample of `distillery sample`. The
    same command started again goes on where it stopped; nothing answered is asked again.
    """
    from distillery_core.labelling.projection import limited
    from distillery_core.stages.label import label as run_labelling
    from distillery_core.stages.label import projection, refuse_shorter, require_gate

    target = _target(output, output_dir)
    articles = _limit(limit, max_batches, batch_size)
    project, chosen = options.chosen_filter(filter)
    # Nobody is asked about money for a run that its gate will not let begin.
    as_sample = require_gate(project, chosen, input, oracle)
    whole = projection(project, chosen, input, oracle)
    if target is None and not as_sample:
        refuse_shorter(
            project.labelled_path(chosen), min(whole.articles, articles or whole.articles)
        )
    projected = limited(whole, articles)
    confirm(projected, budget=budget, yes=yes, ask_above=ask_above)
    with only_json(json), work("label") as task, _told_when_stopped():
        result = run_labelling(
            project,
            chosen,
            input=input,
            output=target,
            oracle=oracle,
            budget=budget,
            limit=articles,
            concurrency=batch_size,
            max_bad=max_bad,
            more_samples=more_samples,
            retry_failed=retry_failed,
            progress=with_total(task.progress, projected.articles),
        )
    if json:
        print_json(_facts(result))
        return
    say(f"{project.relative(result.output)}: written")
    print_summary(result.summary)
    for path in (result.rejected, result.skipped):
        if path is not None:
            note(f"set aside: {project.relative(path)}")


@contextmanager
def _told_when_stopped() -> Iterator[None]:
    """A run that a budget or stop rule ended has spent money too: say how much."""
    from distillery_core.labelling.run import LabellingStopped

    try:
        yield
    except LabellingStopped as stopped:
        note(stopped.summary.money_line())
        raise


def _target(output: Path | None, output_dir: Path | None) -> Path | None:
    if output is not None and output_dir is not None:
        raise UserError("--output and --output-dir are both given", hint="give one of them")
    return options.output_file(output_dir / LABELLED if output_dir else output)


def _limit(limit: int | None, max_batches: int | None, batch_size: int | None) -> int | None:
    """The seed's `--max-batches` counts batches of `--batch-size` articles."""
    if max_batches is None:
        return limit
    if batch_size is None:
        raise UserError("--max-batches counts batches of --batch-size, which is not given")
    batches = max_batches * batch_size
    return batches if limit is None else min(limit, batches)


def _facts(result: LabelResult) -> dict[str, object]:
    return {
        "output": str(result.output),
        "rejected": str(result.rejected) if result.rejected else None,
        "skipped": str(result.skipped) if result.skipped else None,
    } | summary_facts(result.summary)
