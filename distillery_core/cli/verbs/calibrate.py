"""`distillery calibrate`: a calibration or validation round of an oracle's prompt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery_core.cli import options
from distillery_core.cli.console import note, only_json, print_json, say
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
from distillery_core.errors import UserError

if TYPE_CHECKING:
    from distillery_core.dataset.sampling import Round
    from distillery_core.filters import Filter
    from distillery_core.stages.calibrate import CalibrationResult
    from distillery_core.stages.project import Project

app = single()


@verb(
    app,
    "distillery calibrate --filter uplifting --input articles.jsonl",
    "distillery calibrate --filter uplifting --input articles.jsonl --validate --budget 1",
    "distillery calibrate --filter uplifting --input articles.jsonl --oracle-check --n 200",
    "distillery calibrate --filter uplifting --compare prompt_a.md.j2 prompt_b.md.j2",
)
def calibrate(
    filter: options.FilterOption,
    other: Annotated[
        Path | None,
        typer.Argument(metavar="PROMPT_B", help="With --compare: the second prompt."),
    ] = None,
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
    oracle_check: Annotated[
        bool, typer.Option("--oracle-check", help="Judge the oracle itself on random articles.")
    ] = False,
    n: Annotated[
        int | None, typer.Option("--n", min=1, help="With --oracle-check: articles; default 200.")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="PROMPT",
            help="Compare two prompt files on one sample; one alone with the present prompt.",
        ),
    ] = None,
    n_positive: options.PositiveOption = None,
    n_negative: options.NegativeOption = None,
    n_edge: options.EdgeOption = None,
    random_seed: options.RandomSeedOption = None,
    classes: options.ClassesOption = None,
    embedding_model: options.EmbeddingModelOption = None,
    oracle: options.OracleOption = None,
    batch_size: options.ConcurrencyOption = None,
    budget: options.BudgetOption = None,
    ask_above: options.AskAboveOption = ASK_ABOVE_USD,
    yes: options.YesOption = False,
    read: options.ReadOption = True,
    probes: Annotated[bool, options.PROBES] = True,
    repeats: Annotated[
        int, typer.Option(min=1, max=20, help="Answers an article, to see how far they differ.")
    ] = 1,
    more_samples: options.MoreSamplesOption = False,
    json: options.JsonOption = False,
) -> None:
    """Ask the oracle about a sample and judge its prompt: PASS, REVIEW or FAIL.

    Writes calibration_report.md (validation_report.md with --validate) beside the filter. Batch
    labelling needs both rounds. Exit code 0 only on PASS. With --input the sample grows until each
    class has as many scored articles as asked for.

    --oracle-check writes oracle_readiness_report.md: READY (exit code 0), REVIEW or BLOCK.
    --compare writes prompt_comparison.md.
    """
    from distillery_core.cli.calibration_modes import check_oracle, compare_two

    _refuse_mixtures(other, validate, oracle_check, n, compare)
    project, chosen = options.chosen_filter(filter)
    confirming = {"budget": budget, "yes": yes, "ask_above": ask_above}
    ask = {"oracle": oracle, "budget": budget, "concurrency": batch_size}
    wish = options.sample_wish(
        n_positive, n_negative, n_edge, random_seed, classes, embedding_model
    )
    if oracle_check:
        ask |= {"random_seed": random_seed}
        check_oracle(
            *(project, chosen, input), n=n, ask=ask, more_samples=more_samples,
            confirming=confirming, json=json,
        )  # fmt: skip
        return
    source = {"sample": sample, "input": input, **wish}
    if compare is not None:
        compare_two(
            *(project, chosen, (compare, other)), ask=ask, sample=source,
            more_samples=more_samples, confirming=confirming, json=json,
        )  # fmt: skip
        return
    which: Round = "validation" if validate else "calibration"
    how = {"read": read, "probes": probes, "repeats": repeats}
    _round(filter, project, chosen, which, source | how, ask, more_samples, confirming, json)


def _refuse_mixtures(
    other: Path | None, validate: bool, oracle_check: bool, n: int | None, compare: Path | None
) -> None:
    """One call does one thing."""
    modes = {"--validate": validate, "--oracle-check": oracle_check, "--compare": compare}
    given = [name for name, on in modes.items() if on]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} are different things", hint="one call for each")
    if other is not None and compare is None:
        raise UserError(f"what is {other}?", hint="a second prompt goes with --compare")
    if n is not None and not oracle_check:
        hint = "a round's numbers are --n-positive, --n-negative and --n-edge"
        raise UserError("--n goes with --oracle-check", hint=hint)


def _round(
    reference: str,
    project: Project,
    chosen: Filter,
    which: Round,
    how: dict[str, Any],
    ask: dict[str, Any],
    more_samples: bool,
    confirming: dict[str, Any],
    json: bool,
) -> None:
    """A calibration or validation round."""
    from distillery_core.stages.calibrate import calibrate as run_round
    from distillery_core.stages.round_projection import round_projection

    projected = round_projection(project, chosen, round=which, oracle=ask["oracle"], **how)
    if projected is not None:
        confirm(projected, **confirming)
    with only_json(json), work(which) as task:
        result = run_round(
            project,
            chosen,
            round=which,
            more_samples=more_samples,
            progress=task.progress,
            **how,
            **ask,
        )
    decision = result.judged.decision
    if json:
        print_json({"round": which} | _facts(result))
    else:
        reference += f" --oracle {ask['oracle']}" if ask["oracle"] else ""
        _print(reference, project, chosen, which, result)
    exit_by(decision)


def _print(
    reference: str, project: Project, chosen: Filter, which: Round, result: CalibrationResult
) -> None:
    decision, lowered = result.judged.decision, result.judged.front.lowered
    print_decision(decision, project.relative(result.judged.report_path))
    if lowered is not None and decision.level > decision.computed:
        say(f"lowered by {lowered.by}: {lowered.reason}")
    if result.replaced:
        say(f"{result.replaced} articles drawn in place of those without a usable answer")
    print_summary(result.summary)
    if result.summary.paid:
        note(f"all calls of {chosen.label} so far: {usd(result.money.spent_usd)}")
    note(_next(reference, which == "validation", decision.word))


def _facts(result: CalibrationResult) -> dict[str, object]:
    return decision_facts(result.judged.decision) | {
        "report": str(result.judged.report_path),
        "sample": str(result.sample),
        "replaced": result.replaced,
        "labelling": summary_facts(result.summary),
    }


def _next(filter: str, validate: bool, word: str) -> str:
    if word == "PASS" and not validate:
        return f"  -> distillery calibrate --filter {filter} --validate"
    return f"  -> distillery gate check --filter {filter}"
