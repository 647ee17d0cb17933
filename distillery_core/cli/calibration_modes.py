"""The two further modes of `distillery calibrate`: an oracle's readiness, two prompts compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillery_core.cli.console import note, only_json, print_json, say
from distillery_core.cli.money import confirm
from distillery_core.cli.results import (
    decision_facts,
    exit_by,
    facts,
    print_decision,
    print_summary,
    summary_facts,
)
from distillery_core.cli.work import work
from distillery_core.errors import UserError

if TYPE_CHECKING:
    from distillery_core.filters import Filter
    from distillery_core.stages.compare import ComparisonResult
    from distillery_core.stages.project import Project
    from distillery_core.stages.readiness import ReadinessResult


def check_oracle(
    project: Project,
    filter: Filter,
    input: Path | None,
    *,
    n: int | None,
    ask: dict[str, Any],
    more_samples: bool,
    confirming: dict[str, Any],
    json: bool,
) -> None:
    """Judge the oracle on random articles and leave with 0 only on READY."""
    from distillery_core.stages.readiness import (
        ARTICLES,
        check_oracle_readiness,
        readiness_projection,
    )

    if input is None:
        hint = f"distillery calibrate --filter {filter.label} --oracle-check --input articles.jsonl"
        raise UserError("--oracle-check draws from a corpus, and none is named", hint=hint)
    wanted = ARTICLES if n is None else n
    seed = ask.pop("random_seed")
    projected = readiness_projection(project, filter, input, wanted, ask["oracle"], seed)
    confirm(projected, **confirming)
    with only_json(json), work("oracle check") as task:
        result = check_oracle_readiness(
            project,
            filter,
            input=input,
            n=wanted,
            random_seed=seed,
            more_samples=more_samples,
            progress=task.progress,
            **ask,
        )
    _print_readiness(project, result, json)
    exit_by(result.judged.decision)


def _print_readiness(project: Project, result: ReadinessResult, json: bool) -> None:
    judged, job = result.judged, result.job
    if json:
        print_json(
            decision_facts(judged.decision)
            | {
                "report": str(judged.report_path),
                "rates": judged.front.numbers["rates"],
                "full_job": facts(job),
                "labelling": summary_facts(result.summary),
            }
        )
        return
    print_decision(judged.decision, project.relative(judged.report_path))
    print_summary(result.summary)
    for one in judged.front.numbers["rates"]:
        if one["value"] is not None:
            share = f"{one['value']:.1%} ({one['low']:.1%} to {one['high']:.1%})"
            say(f"{one['name']} (>= {one['at']:g}): {share} of {one['n']} random articles")
    say(f"full job: {job.to_ask} calls, ${job.low_usd:.2f} to ${job.high_usd:.2f}{_time(job)}")


def _time(job: Any) -> str:
    from distillery_core.cli.work import duration

    return "" if job.seconds is None else f", about {duration(job.seconds)}"


def compare_two(
    project: Project,
    filter: Filter,
    prompts: tuple[Path, Path | None],
    *,
    ask: dict[str, Any],
    sample: dict[str, Any],
    more_samples: bool,
    confirming: dict[str, Any],
    json: bool,
) -> None:
    """Compare two prompts on one sample and say what differs."""
    from distillery_core.stages.compare import compare_prompts, comparison_projection

    first, second = prompts
    # One file is compared with the present prompt, two with each other.
    prompt_b, prompt_a = (first, None) if second is None else (second, first)
    oracle = ask["oracle"]
    projected = comparison_projection(project, filter, prompt_b, prompt_a, oracle=oracle, **sample)
    if projected is not None:
        confirm(projected, **confirming)
    with only_json(json), work("compare") as task:
        result = compare_prompts(
            project,
            filter,
            prompt_b,
            prompt_a,
            more_samples=more_samples,
            progress=task.progress,
            **ask,
            **sample,
        )
    _print_comparison(project, result, json)


def _print_comparison(project: Project, result: ComparisonResult, json: bool) -> None:
    if json:
        print_json(
            {"headline": result.headline, "report": str(result.report_path)}
            | facts(result.comparison)
            | {"labelling": summary_facts(result.summary)}
        )
        return
    say(f"{result.headline}.")
    for line in result.comparison.conclusion:
        say(f"  {line}")
    say(f"report: {project.relative(result.report_path)}")
    print_summary(result.summary)
    note("  -> the better prompt goes into prompt.md.j2; then calibrate with it")
