"""`distillery evaluate`: judge the trained student on its test set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from distillery_core.cli import options
from distillery_core.cli.console import note, only_json, print_json
from distillery_core.cli.results import decision_facts, exit_by, print_decision, print_lines
from distillery_core.cli.verb import single, verb
from distillery_core.cli.work import work
from distillery_core.errors import UserError

app = single()


@verb(
    app,
    "distillery evaluate --filter uplifting",
    "distillery evaluate --filter filters/uplifting/v1 --data-dir datasets/training/uplifting",
    "distillery evaluate --filter uplifting:v2 --against uplifting:v1",
    "distillery evaluate --history training_history.json --metadata training_metadata.json",
)
def evaluate(
    filter: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="NAME[:vN]|PATH",
            help="The filter, by name, version or folder. Needed unless --history is given.",
        ),
    ] = None,
    model_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: model/ of the filter.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: datasets/training/<filter>.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|NAME:vN",
            help="Version to compare with. Default: the promoted one, else the newest older one.",
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Judge old or foreign results without their model: training_history.json.",
        ),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --history: training_metadata.json."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --history: JSONL of {id, labels, predictions} on test."
        ),
    ] = None,
    oracle: options.OracleOption = None,
    budget: options.BudgetOption = None,
    read: options.ReadOption = True,
    mlflow: options.MlflowOption = True,
    threads: options.ThreadsOption = None,
    json: options.JsonOption = False,
) -> None:
    """Judge the student: DEPLOY, REVIEW or FAIL, with baselines and intervals.

    Writes model_evaluation.md beside the filter; for a --model-dir from elsewhere beside that
    model, or under reports/ where that is no place for it. Exit code 0 only on DEPLOY.

    With --history and --metadata results are judged by these files alone: nothing is written, every
    line is printed, and what needs model or data is "not checkable", so that it never reads DEPLOY.
    """
    if history is not None or metadata is not None or predictions is not None:
        _judge_files(filter, history, metadata, predictions, json)
    if filter is None:
        raise UserError("which model?", hint="--filter NAME, or --history with --metadata")
    from distillery_core.stages.evaluate import evaluate as judge

    project, chosen = options.chosen_filter(filter)
    with only_json(json), work("evaluate") as task:
        result = judge(
            project,
            chosen,
            model_dir=model_dir,
            data_dir=data_dir,
            against=against,
            oracle=oracle,
            budget=budget,
            read=read,
            mlflow=mlflow,
            threads=threads,
            progress=task.progress,
        )
    if json:
        print_json(
            decision_facts(result.judged.decision) | {"report": str(result.judged.report_path)}
        )
    else:
        print_decision(result.judged.decision, project.relative(result.judged.report_path))
        note(_next(filter, result.judged.decision.word, result.own))
    exit_by(result.judged.decision)


def _judge_files(
    filter: str | None,
    history: Path | None,
    metadata: Path | None,
    predictions: Path | None,
    json: bool,
) -> NoReturn:
    """Judge by files, print every line, and leave."""
    from distillery_core.stages.evaluate import evaluate_files
    from distillery_core.stages.project import open_project

    if history is None or metadata is None:
        raise UserError("results without a model need both --history and --metadata")
    project, chosen = options.chosen_filter(filter) if filter else (open_project(), None)
    decision = evaluate_files(project, history, metadata, predictions, chosen)
    if json:
        print_json(decision_facts(decision))
    else:
        print_lines(decision)
    exit_by(decision)


def _next(filter: str, word: str, own: bool) -> str:
    if not own:
        return "  -> this is not the filter's own model, whose report and approval stay as they are"
    if word == "DEPLOY":
        return f"  -> distillery promote --filter {filter}"
    if word == "REVIEW":
        return f'  -> read the report, then: distillery approve --filter {filter} --why "..."'
    return "  -> the report's recommendations say what to change"
