"""`distillery evaluate`: judge the trained student on its test set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distillery_core.cli import options
from distillery_core.cli.console import note, only_json, print_json
from distillery_core.cli.results import decision_facts, exit_by, print_decision
from distillery_core.cli.verb import single, verb
from distillery_core.cli.work import work

app = single()


@verb(
    app,
    "distillery evaluate --filter uplifting",
    "distillery evaluate --filter filters/uplifting/v1 --data-dir datasets/training/uplifting",
)
def evaluate(
    filter: options.FilterOption,
    model_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: model/ of the filter.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: datasets/training/<filter>.")
    ] = None,
    oracle: options.OracleOption = None,
    budget: options.BudgetOption = None,
    read: options.ReadOption = True,
    mlflow: options.MlflowOption = True,
    threads: options.ThreadsOption = None,
    json: options.JsonOption = False,
) -> None:
    """Judge the student: DEPLOY, REVIEW or FAIL, with baselines and intervals.

    Writes model_evaluation.md beside the filter. Exit code 0 only on DEPLOY.
    """
    from distillery_core.stages.evaluate import evaluate as judge

    project, chosen = options.chosen_filter(filter)
    with only_json(json), work("evaluate") as task:
        result = judge(
            project,
            chosen,
            model_dir=model_dir,
            data_dir=data_dir,
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
        note(_next(filter, result.judged.decision.word))
    exit_by(result.judged.decision)


def _next(filter: str, word: str) -> str:
    if word == "DEPLOY":
        return f"  -> distillery promote --filter {filter}"
    if word == "REVIEW":
        return f'  -> read the report, then: distillery approve --filter {filter} --why "..."'
    return "  -> the report's recommendations say what to change"
