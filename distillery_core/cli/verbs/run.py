"""`distillery run`: the whole pipeline under ZenML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery_core.cli import options
from distillery_core.cli.console import say
from distillery_core.cli.money import ASK_ABOVE_USD, confirm
from distillery_core.cli.verb import single, verb
from distillery_core.cli.work import work

if TYPE_CHECKING:
    from distillery_core.pipelines.run import RunOutcome

app = single()

FileOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Instead of drawing it.")]


@verb(
    app,
    "distillery run --filter uplifting --input articles.jsonl --budget 8",
    "distillery run --filter crisis --input articles.jsonl --epochs 4 --no-promote",
    "distillery run --filter uplifting --input articles.jsonl --config pipelines/distill.yaml",
)
def run(
    filter: options.FilterOption,
    input: options.InputOption,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A ZenML run configuration; flags win over it."),
    ] = None,
    oracle: options.OracleOption = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Calls in flight; default: the oracle's.")
    ] = None,
    budget: options.BudgetOption = None,
    ask_above: options.AskAboveOption = ASK_ABOVE_USD,
    yes: options.YesOption = False,
    sample: FileOption = None,
    validation_sample: FileOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Label at most that many.")] = None,
    max_bad: Annotated[float | None, options.MAX_BAD] = None,
    read: Annotated[bool | None, options.READ] = None,
    probes: Annotated[bool | None, options.PROBES] = None,
    model_name: options.ModelNameOption = None,
    epochs: options.EpochsOption = None,
    batch_size: options.TrainBatchOption = None,
    learning_rate: options.LearningRateOption = None,
    max_length: options.MaxLengthOption = None,
    warmup_steps: options.WarmupOption = None,
    seed: options.SeedOption = None,
    mlflow: Annotated[bool | None, options.MLFLOW] = None,
    promote: Annotated[
        bool | None, typer.Option("--promote/--no-promote", help="Promote an accepted model.")
    ] = None,
    who: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who promotes, for the record.")
    ] = None,
    wait_for_approval: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="MINUTES", help="Stand still at a REVIEW until it is approved."
        ),
    ] = None,
) -> None:
    """Calibrate, validate, label, prepare, train, evaluate and promote, each behind its gate.

    A closed gate ends the run with its reason (exit code 1). The same command again takes finished
    steps from before. The store is .distillery/zenml unless ZENML_CONFIG_PATH or ZENML_STORE_URL
    is set; no login is needed.
    """
    from distillery_core.labelling.projection import limited
    from distillery_core.pipelines.run import run_distill
    from distillery_core.stages.label import projection

    project, chosen = options.chosen_filter(filter)
    settings = options.given(
        model_name=model_name,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        max_length=max_length,
        warmup_steps=warmup_steps,
        seed=seed,
    )
    parameters = {
        "filter": _reference(filter),
        "input": str(input.resolve()),
        "oracle": oracle,
        "budget": budget,
        "concurrency": concurrency,
        "sample": _absolute(sample),
        "validation_sample": _absolute(validation_sample),
        "limit": limit,
        "max_bad": max_bad,
        "read": read,
        "probes": probes,
        "training": settings or None,
        "mlflow": mlflow,
        "promote": promote,
        "who": who,
        "wait_for_approval": wait_for_approval,
    }
    projected = limited(projection(project, chosen, input, oracle), limit)
    confirm(projected, budget=budget, yes=yes, ask_above=ask_above)
    with work("run") as task:
        outcome = run_distill(
            project.root,
            parameters,
            config,
            say=task.say,
            progress=task.progress,
            on_end=_print,
        )
    raise typer.Exit(0 if outcome.status == "completed" else 1)


def _print(outcome: RunOutcome) -> None:
    """Every step that ran; printed for a failed run too, before its reason."""
    for step in outcome.steps:
        say(f"  {step.status:10} {step.name}{f': {step.reason}' if step.reason else ''}")
    say(f"run {outcome.name}: {outcome.status}")


def _reference(filter: str) -> str:
    """A folder is named absolutely, since the pipeline may look from elsewhere."""
    return str(Path(filter).resolve()) if Path(filter).is_dir() else filter


def _absolute(path: Path | None) -> Any:
    return None if path is None else str(path.resolve())
