"""`distillery label`: ask the oracle about a whole corpus, once its prompt has passed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distillery_core.cli import batches, options
from distillery_core.cli.console import only_json
from distillery_core.cli.labelling import oracles_asked, print_labels, told_when_stopped
from distillery_core.cli.money import ASK_ABOVE_USD, confirm
from distillery_core.cli.verb import single, verb
from distillery_core.cli.work import with_total, work
from distillery_core.errors import UserError

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
    accept_fingerprint: Annotated[
        bool,
        typer.Option(
            "--accept-fingerprint", help="Go on where the provider answers with another model now."
        ),
    ] = False,
    repeats: Annotated[
        int, typer.Option(min=1, help="Answers an article from each oracle; one label of them.")
    ] = 1,
    oracles: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help="Several oracles; one label of their answers."),
    ] = None,
    canaries: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Ask some articles again after every N answers and stop if the oracle drifts; "
            "0 never. Default: oracle.canaries in config.yaml.",
        ),
    ] = None,
    provider_batch: Annotated[
        bool,
        typer.Option(
            "--provider-batch",
            help="Ask by the provider's batches: half the price, within a day.",
        ),
    ] = False,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait/--no-wait", help="With --provider-batch: wait for it, or only submit."
        ),
    ] = True,
    cancel_batches: Annotated[
        bool,
        typer.Option(
            "--cancel-batches", help="End this filter's batches, keep what they answered, and stop."
        ),
    ] = False,
    json: options.JsonOption = False,
) -> None:
    """Label articles; each answer is durable before the next one is counted.

    Needs both calibration gates open, unless the input is a sample of `distillery sample`. The
    same command started again goes on where it stopped; nothing answered is asked again.
    With --repeats or --oracles an agreement report is written beside the labels.
    With --provider-batch a file of questions is answered within a day at half the price; what it
    leaves open (expired, failed, unusable) is then asked call by call.
    """
    from distillery_core.labelling.projection import limited
    from distillery_core.stages.label import refuse_shorter

    target = _target(output, output_dir)
    articles = _limit(limit, max_batches, batch_size)
    asked = oracles_asked(oracle, oracles, repeats)
    project, chosen = options.chosen_filter(filter)
    if cancel_batches:
        batches.cancel(project, chosen, oracle=oracle, json=json)
        return
    # Nobody is asked about money for a run that its gate will not let begin.
    as_sample = asked.require_gate(project, chosen, input)
    if provider_batch and asked.passes > 1:
        hint = "label once by batch; --repeats and --oracles are asked call by call"
        raise UserError("--provider-batch asks one oracle once", hint=hint)
    whole = asked.projection(project, chosen, input)
    if target is None and not as_sample:
        refuse_shorter(
            project.labelled_path(chosen), min(whole.articles, articles or whole.articles)
        )
    if provider_batch:
        goes_on = batches.by_batch(
            *(project, chosen, input),
            oracle=oracle,
            budget=budget,
            ask_above=ask_above,
            yes=yes,
            limit=articles,
            more_samples=more_samples,
            retry_failed=retry_failed,
            wait=wait,
            json=json,
        )
        if not goes_on:
            return
        whole = asked.projection(project, chosen, input)
        retry_failed = False  # the batch was that try
    projected = limited(whole, articles and articles * asked.passes)
    confirm(projected, budget=budget, yes=yes, ask_above=ask_above)
    with only_json(json), work("label") as task, told_when_stopped():
        result = asked.label(
            project,
            chosen,
            input=input,
            output=target,
            budget=budget,
            limit=articles,
            concurrency=batch_size,
            max_bad=max_bad,
            more_samples=more_samples,
            retry_failed=retry_failed,
            accept_fingerprint=accept_fingerprint,
            canaries=canaries,
            progress=with_total(task.progress, asked.answers(whole.articles, articles)),
        )
    print_labels(project, result, json)


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
