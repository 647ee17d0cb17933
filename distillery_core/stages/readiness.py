"""Asks an oracle about random articles and judges whether it is ready for the full job."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distillery_core.agents.publishing import Judged
from distillery_core.agents.readiness import (
    FullJob,
    RandomAnswer,
    ReadinessInput,
    judge_readiness,
)
from distillery_core.dataset.sampling import rank
from distillery_core.errors import UserError
from distillery_core.filters import Filter
from distillery_core.filters.score_rules import overall
from distillery_core.filters.text_view import pattern_text
from distillery_core.labelling.projection import Projection, limited, project_cost
from distillery_core.labelling.run import Label, LabelSettings, LabelSummary, Setback
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_report import mean_latency_s
from distillery_core.oracle.spec import OracleSpec
from distillery_core.stages.asking import Answers, Asking
from distillery_core.stages.label import projection as label_projection
from distillery_core.stages.label import refuse_too_many_samples, usable_articles
from distillery_core.stages.oracles import choose_oracle, oracle_identity, recording_folder
from distillery_core.stages.project import Project, adopt
from distillery_core.types import Article, Progress, silent

PURPOSE = "readiness"
ARTICLES = 200
"""The standard error of a share near 10 % is then 2 points."""


@dataclass(frozen=True, slots=True)
class ReadinessResult:
    """A judged oracle: verdict, report, and the account of the run."""

    judged: Judged
    summary: LabelSummary
    job: FullJob


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Random articles of a corpus, and how many it holds and the pre-filter keeps out."""

    articles: list[Article]
    corpus: int
    blocked: int


def check_oracle_readiness(
    project: Project,
    filter: Filter,
    *,
    input: Path,
    n: int = ARTICLES,
    random_seed: int | None = None,
    oracle: str | None = None,
    budget: float | None = None,
    concurrency: int | None = None,
    more_samples: bool = False,
    progress: Progress = silent,
) -> ReadinessResult:
    """Judge an oracle on `n` random articles and write `oracle_readiness_report.md`.

    Articles that the pre-filter keeps out are never asked about, so none of them is drawn. The
    answers count in the ledger like any other: labelling does not ask for them again.

    Raises:
        UserError: nothing in the corpus to ask about; oracle, key, price or files are not usable.
        CheckFailed: budget, or more articles than may be asked about without a gate.
    """
    filter = adopt(project, filter)
    spec = choose_oracle(project, filter, oracle)
    seed = filter.config.calibration.random_seed if random_seed is None else random_seed
    drawn = _draw(filter, input, seed, n)
    refuse_too_many_samples(project, filter, drawn.articles, more_samples, PURPOSE)
    settings = LabelSettings(
        concurrency=concurrency, budget_usd=budget, purpose=PURPOSE, failure_window=None
    )
    with Ledger.open(project.ledger) as ledger:
        answers = Asking(filter, spec, ledger, settings, progress).about(drawn.articles)
    job = _full_job(project, filter, spec, input, drawn, oracle, concurrency)
    given = ReadinessInput(
        answers=[_answer(filter, one, answers) for one in drawn.articles],
        oracle=oracle_identity(filter, spec),
        seed=seed,
        date=answers.last_at,
        wanted=n,
        cost_usd=answers.cost_usd,
        job=job,
    )
    judged = judge_readiness(filter, given, project.home(filter), project.root)
    return ReadinessResult(judged, answers.summary, job)


def readiness_projection(
    project: Project,
    filter: Filter,
    input: Path,
    n: int = ARTICLES,
    oracle: str | None = None,
    random_seed: int | None = None,
) -> Projection:
    """What the check will cost, before anything is asked."""
    spec = choose_oracle(project, filter, oracle)
    seed = filter.config.calibration.random_seed if random_seed is None else random_seed
    articles = _draw(filter, input, seed, n).articles
    folder = recording_folder(filter)
    if not project.ledger.exists():
        return project_cost(filter, articles, len(articles), spec)
    with Ledger.open(project.ledger) as ledger:
        return project_cost(filter, articles, len(articles), spec, ledger, recording_folder=folder)


def _draw(filter: Filter, input: Path, seed: int, n: int) -> _Drawn:
    counts = {"corpus": 0, "blocked": 0}

    def askable() -> Iterator[Article]:
        for article in usable_articles(input):
            counts["corpus"] += 1
            if filter.prefilter.check(article) is None:
                yield article
            else:
                counts["blocked"] += 1

    articles = heapq.nsmallest(n, askable(), key=lambda one: rank(filter, seed, one))
    if not articles:
        raise UserError(
            f"holds no article that {filter.label} would ask an oracle about",
            where=input,
            hint=f"{counts['blocked']} of {counts['corpus']} are kept out by its pre-filter",
        )
    return _Drawn(articles, counts["corpus"], counts["blocked"])


def _answer(filter: Filter, article: Article, answers: Answers) -> RandomAnswer:
    answer = answers.by_id.get(article.id)
    if isinstance(answer, Label):
        text = pattern_text(article.title, article.content)
        value = overall(filter, answer.scores, text).value
        return RandomAnswer(article, dict(answer.scores), value)
    if isinstance(answer, Setback):
        reason = answer.reason or answer.state
        return RandomAnswer(article, failure=reason, rejected=answer.state == "rejected")
    return RandomAnswer(article, failure="not answered")


def _full_job(
    project: Project,
    filter: Filter,
    spec: OracleSpec,
    input: Path,
    drawn: _Drawn,
    oracle: str | None,
    concurrency: int | None,
) -> FullJob:
    """The rest of the corpus at the tokens, price and latency that were measured."""
    whole = label_projection(project, filter, input, oracle)
    rest = limited(whole, max(whole.to_ask - drawn.blocked, 0))
    with Ledger.open(project.ledger) as ledger:
        latency = mean_latency_s(ledger, filter.prompt_sha256, spec.model)
    in_flight = concurrency or spec.concurrency
    return FullJob(
        corpus=drawn.corpus,
        blocked=drawn.blocked,
        to_ask=rest.to_ask,
        low_usd=rest.low_usd,
        high_usd=rest.high_usd,
        paid=spec.paid,
        seconds=None if latency is None else latency * rest.to_ask / in_flight,
        concurrency=in_flight,
        input_tokens=whole.input_tokens,
        output_tokens=whole.output_tokens,
        basis=whole.basis,
    )
