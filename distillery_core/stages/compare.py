"""Asks two prompts about the same articles and says what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from distillery_core.agents.calibration import AGENT
from distillery_core.agents.comparison import Comparison, Side, compare, headline
from distillery_core.agents.definition import load_agent
from distillery_core.agents.prompt_edits import unified_diff
from distillery_core.agents.scored import score_sample
from distillery_core.errors import UserError
from distillery_core.files import write_text
from distillery_core.filters import Filter
from distillery_core.filters.filter import PROMPT
from distillery_core.filters.prompt_template import check_template
from distillery_core.labelling.projection import Projection, limited, project_cost
from distillery_core.labelling.run import LabelSettings, LabelSummary
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.spec import OracleSpec
from distillery_core.reports.facts import facts
from distillery_core.reports.templates import render_file
from distillery_core.stages.asking import Answers, Asking
from distillery_core.stages.calibrate import (
    all_reviewed,
    sample_articles,
    sample_file,
    sample_seed,
)
from distillery_core.stages.label import refuse_too_many_samples, usable_articles
from distillery_core.stages.oracles import choose_oracle, oracle_identity, recording_folder
from distillery_core.stages.project import Project, adopt
from distillery_core.stages.sample import SampleWish, asked_of, seed_of
from distillery_core.types import Article, Progress, silent

REPORT = "prompt_comparison.md"
TEMPLATE = "comparison.md.j2"


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """What differs between two prompts, where the report lies, and the account of both runs."""

    comparison: Comparison
    headline: str
    report_path: Path
    summary: LabelSummary


def compare_prompts(
    project: Project,
    filter: Filter,
    prompt_b: Path,
    prompt_a: Path | None = None,
    *,
    sample: Path | None = None,
    input: Path | None = None,
    oracle: str | None = None,
    budget: float | None = None,
    concurrency: int | None = None,
    more_samples: bool = False,
    progress: Progress = silent,
    **wish: Unpack[SampleWish],
) -> ComparisonResult:
    """Ask about a calibration sample with both prompts and write `prompt_comparison.md`.

    Args:
        prompt_a: default: the filter's present prompt.
        sample, input: as for `calibrate`; a sample drawn here is not filled up, since an article
            counts only where both prompts brought a valid answer.

    Raises:
        UserError: a prompt that cannot be used, or a validation sample, which must stay unseen.
        CheckFailed: budget, or more samples than may be labelled without a gate.
    """
    filter = adopt(project, filter)
    first = filter if prompt_a is None else with_prompt(filter, prompt_a)
    second = with_prompt(filter, prompt_b)
    spec = choose_oracle(project, filter, oracle)
    _, path = sample_file(project, filter, "calibration", sample, input, progress, wish)
    articles = sample_articles(path)
    _refuse_validation(articles, path)
    refuse_too_many_samples(project, filter, articles, more_samples)
    settings = LabelSettings(
        concurrency=concurrency, budget_usd=budget, purpose="sample", failure_window=None
    )
    with Ledger.open(project.ledger) as ledger:
        answers = [
            Asking(one, spec, ledger, settings, progress).about(articles) for one in (first, second)
        ]
    side_a, side_b = (
        _side(one, articles, got) for one, got in zip((first, second), answers, strict=True)
    )
    overrides = filter.config.calibration.criteria
    agent = load_agent(AGENT, project.root)
    table = agent.table("calibration", overrides, filter.folder / "config.yaml")
    found = compare(side_a, side_b, table, classes_reviewed=all_reviewed(articles))
    context = {
        "filter": filter.label,
        "found": facts(found),
        "headline": headline(found),
        "name_a": f"the present {PROMPT}" if prompt_a is None else prompt_a.name,
        "name_b": prompt_b.name,
        "seed": sample_seed(articles),
        "oracle": oracle_identity(filter, spec),
        "on_topic_at": filter.config.calibration.on_topic_at,
        "paid": spec.paid,
        "diff": unified_diff(first.prompt_template, second.prompt_template, PROMPT),
    }
    report = project.home(filter) / REPORT
    write_text(report, render_file(agent.folder / TEMPLATE, context))
    summary = answers[0].and_then(answers[1]).summary
    return ComparisonResult(found, headline(found), report, summary)


def comparison_projection(
    project: Project,
    filter: Filter,
    prompt_b: Path,
    prompt_a: Path | None = None,
    *,
    sample: Path | None = None,
    input: Path | None = None,
    oracle: str | None = None,
    **wish: Unpack[SampleWish],
) -> Projection | None:
    """What both prompts' answers will cost together; None where there is no sample to look at."""
    spec = choose_oracle(project, filter, oracle)
    seed = seed_of(filter, "calibration", wish)
    source = sample or input or project.sample_path(filter, "calibration", seed)
    if not source.is_file():
        return None
    first = filter if prompt_a is None else with_prompt(filter, prompt_a)
    a, b = (
        _projection(project, one, spec, source, wish)
        for one in (first, with_prompt(filter, prompt_b))
    )
    return replace(
        a,
        to_ask=a.to_ask + b.to_ask,
        low_usd=a.low_usd + b.low_usd,
        high_usd=a.high_usd + b.high_usd,
        basis=a.basis if a.basis == b.basis else f"A: {a.basis}; B: {b.basis}",
    )


def _projection(
    project: Project, filter: Filter, spec: OracleSpec, source: Path, wish: SampleWish
) -> Projection:
    size = sum(asked_of(filter, wish).values())
    count = sum(1 for _ in usable_articles(source))
    if not project.ledger.exists():
        return limited(project_cost(filter, usable_articles(source), count, spec), size)
    with Ledger.open(project.ledger) as ledger:
        folder = recording_folder(filter)
        articles = usable_articles(source)
        whole = project_cost(filter, articles, count, spec, ledger, recording_folder=folder)
    return limited(whole, size)


def with_prompt(filter: Filter, path: Path) -> Filter:
    """The filter with another prompt, checked like its own.

    Raises:
        UserError: the file cannot be read, or does not send the article.
    """
    try:
        template = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the prompt cannot be read: {error}", where=path) from None
    check_template(template, filter.config, path)
    # Not model_copy, which would take the hashes that the filter has remembered along.
    kept = {name: getattr(filter, name) for name in Filter.model_fields}
    return Filter(**{**kept, "prompt_template": template})


def _refuse_validation(articles: Sequence[Article], path: Path) -> None:
    rounds = {one.extra["sample"].get("round") for one in articles if "sample" in one.extra}
    if "validation" in rounds:
        raise UserError(
            "is a validation sample, which no choice between prompts may have seen",
            where=path,
            hint="compare on the calibration sample, or draw another with --random-seed",
        )


def _side(filter: Filter, articles: Sequence[Article], answers: Answers) -> Side:
    return Side(filter, score_sample(filter, articles, answers.by_id), answers.cost_usd)
