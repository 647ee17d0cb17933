"""`distillery calibrate`: a calibration or validation round of an oracle's prompt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distillery_core.cli import options
from distillery_core.cli.console import note, only_json, print_json
from distillery_core.cli.money import ASK_ABOVE_USD, confirm, usd
from distillery_core.cli.results import (
    decision_facts,
    exit_by,
    print_decision,
    print_summary,
    summary_facts,
)
from distillery_core.cli.verb import single, verb
from distillery_core.cli.work import work

if TYPE_CHECKING:
    from distillery_core.dataset.sampling import Round
    from distillery_core.stages.calibrate import CalibrationResult

app = single()


@verb(
    app,
    "distillery calibrate --filter uplifting --input articles.jsonl",
    "distillery calibrate --filter uplifting --input articles.jsonl --validate --budget 1",
)
def calibrate(
    filter: options.FilterOption,
    input: Annotated[
        Path | None,
        typer.Option("--input", "--source", metavar="FILE", help="Articles to draw a sample from."),
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A sample of `distillery sample`; default: its default."),
    ] = None,
    validate: Annotated[
        bool, typer.Option("--validate", help="The validation round, on a fresh sample.")
    ] = False,
    oracle: options.OracleOption = None,
    batch_size: options.ConcurrencyOption = None,
    budget: options.BudgetOption = None,
    ask_above: options.AskAboveOption = ASK_ABOVE_USD,
    yes: options.YesOption = False,
    read: options.ReadOption = True,
    more_samples: options.MoreSamplesOption = False,
    json: options.JsonOption = False,
) -> None:
    """Ask the oracle about a sample and judge its prompt: PASS, REVIEW or FAIL.

    Writes calibration_report.md (validation_report.md with --validate) beside the filter. Batch
    labelling needs both rounds. Exit code 0 only on PASS.
    """
    from distillery_core.stages.calibrate import calibrate as run_round
    from distillery_core.stages.calibrate import projection

    which: Round = "validation" if validate else "calibration"
    project, chosen = options.chosen_filter(filter)
    projected = projection(
        project, chosen, round=which, sample=sample, input=input, oracle=oracle, read=read
    )
    if projected is not None:
        confirm(projected, budget=budget, yes=yes, ask_above=ask_above)
    with only_json(json), work(which) as task:
        result = run_round(
            project,
            chosen,
            round=which,
            sample=sample,
            input=input,
            oracle=oracle,
            budget=budget,
            concurrency=batch_size,
            read=read,
            more_samples=more_samples,
            progress=task.progress,
        )
    decision = result.judged.decision
    if json:
        print_json({"round": which} | _facts(result))
    else:
        print_decision(decision, project.relative(result.judged.report_path))
        print_summary(result.summary)
        if result.summary.paid:
            note(f"all calls of {chosen.label} so far: {usd(result.money.spent_usd)}")
        note(_next(filter, validate, decision.word))
    exit_by(decision)


def _facts(result: CalibrationResult) -> dict[str, object]:
    return decision_facts(result.judged.decision) | {
        "report": str(result.judged.report_path),
        "sample": str(result.sample),
        "labelling": summary_facts(result.summary),
    }


def _next(filter: str, validate: bool, word: str) -> str:
    if word == "PASS" and not validate:
        return f"  -> distillery calibrate --filter {filter} --validate"
    return f"  -> distillery gate check --filter {filter}"
