"""Labels a stream of articles: pre-filter, ledger, oracle; each one ends in exactly one way."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from distillery_core.agreement.drift import CanaryRound
from distillery_core.errors import CheckFailed
from distillery_core.fence import fence_content
from distillery_core.files import sha256_json
from distillery_core.filters.answers import answer_schema
from distillery_core.filters.filter import Filter
from distillery_core.filters.prompt_template import render
from distillery_core.labelling.canaries import Canaries, CanarySettings
from distillery_core.labelling.parsing import check_for
from distillery_core.labelling.pool import in_order
from distillery_core.oracle.asking import Asker
from distillery_core.oracle.client import Oracle
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_job import Job, open_job
from distillery_core.oracle.ledger_report import Activity, Money, activity, money
from distillery_core.oracle.prices import to_dollars
from distillery_core.oracle.questions import AnswerForm, AskSettings, Outcome, Question
from distillery_core.types import Article, Progress, silent

_WINDOW_PER_CALL = 16
_SMALLEST_WINDOW = 64
_ACTIVE_PER_CALL = 2
"""Articles that are rendered for each call in flight: the next ones, and those that wait to be
asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSettings(AskSettings):
    """How a labelling run asks.

    Args:
        purpose: "batch", or "sample" for the articles of a calibration or validation sample; the
            ledger counts distinct texts by it.
        limit: only so many articles.
        repeat: which answer about each article this run is after; 2 asks all of them once more.
        canaries: how often some articles are asked again to see whether the oracle drifts.
    """

    purpose: str = "batch"
    limit: int | None = None
    repeat: int = 1
    canaries: CanarySettings = field(default_factory=CanarySettings)

    @property
    def occasion(self) -> str:
        """How the ledger tells this run's questions from those of another repeat."""
        return occasion_of(self.repeat)


@dataclass(frozen=True, slots=True)
class Label:
    """A label: every dimension's score in [0, 10], and where it comes from."""

    scores: dict[str, float]
    reasoning: str | None
    provenance: dict[str, Any]
    from_ledger: bool = False


@dataclass(frozen=True, slots=True)
class Setback:
    """Why an article has no label. `state`: rejected (its answer), failed (the calls), skipped
    (the pre-filter), open (the run stopped before). `cost_usd` is what its calls took."""

    state: str
    reason: str
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """How a run went. `states` counts articles; `money` is the filter's, over all runs.

    `asked` calls were made in this run, `from_ledger` articles needed none; `interrupted` counts
    the calls that earlier processes left in flight when they died; `canaries` are this run's
    rounds.
    """

    filter: str
    oracle: str
    model: str
    paid: bool
    states: Mapping[str, int]
    from_ledger: int
    interrupted: int
    activity: Activity
    money: Money
    seconds: float
    stopped: str | None = None
    canaries: tuple[CanaryRound, ...] = ()

    @property
    def asked(self) -> int:
        """Calls made in this run."""
        return self.activity.attempts

    @property
    def labelled(self) -> int:
        """Articles with a label."""
        return self.states.get("done", 0)

    def money_line(self) -> str:
        """The run's cost in words."""
        if self.paid:
            return f"${self.activity.cost_usd:.4f} spent"
        return f"recorded, nothing was paid; would have cost about ${self.activity.cost_usd:.4f}"


class LabellingStopped(CheckFailed):
    """The run ended early; the answers so far are in the ledger."""

    summary: LabelSummary


OnOutcome = Callable[[Article, Label | Setback], None]


async def label_articles(
    filter: Filter,
    articles: Iterable[Article],
    oracle: Oracle,
    ledger: Ledger,
    *,
    settings: LabelSettings | None = None,
    on_label: Callable[[Article, Label], None],
    on_setback: Callable[[Article, Setback], None] | None = None,
    progress: Progress = silent,
    total: int | None = None,
) -> LabelSummary:
    """Label articles, each to its end; callbacks come in input order.

    Raises:
        UserError: the oracle cannot be used (down, key, model), its price is unknown, another run
            is asking for this filter, the ledger cannot be written.
        LabellingStopped: budget, failure rate; carries the summary.
    """
    settings = settings or LabelSettings()
    spec = oracle.spec
    with open_job(
        ledger, filter.label, oracle=spec.name, purpose=settings.purpose, paid=spec.paid
    ) as job:
        run = LabellingRun(filter, oracle, job, settings)

        def hand_out(article: Article, outcome: Label | Setback) -> None:
            if isinstance(outcome, Label):
                on_label(article, outcome)
            elif on_setback is not None:
                on_setback(article, outcome)

        return await run.run(articles, hand_out, progress, total)


class LabellingRun:
    """One run over one stream, inside its job."""

    def __init__(self, filter: Filter, oracle: Oracle, job: Job, settings: LabelSettings) -> None:
        self._filter, self._oracle, self._job, self._settings = filter, oracle, job, settings
        self._form = answer_form(filter)
        check = partial(check_for, filter)
        self._asker = Asker(oracle, job, self._form, check, settings)
        self._canaries = Canaries(
            *(self._asker, job.ledger, settings.canaries, partial(question_of, filter)),
            occasion=settings.occasion,
        )
        self._states: Counter[str] = Counter()
        self._from_ledger = 0
        self._started = time.monotonic()

    async def run(
        self,
        articles: Iterable[Article],
        on_outcome: OnOutcome,
        progress: Progress = silent,
        total: int | None = None,
    ) -> LabelSummary:
        """Label everything. Raises as `label_articles`."""
        concurrency = self._settings.concurrency or self._oracle.spec.concurrency
        window = max(_SMALLEST_WINDOW, _WINDOW_PER_CALL * concurrency)
        results = in_order(
            *(articles, self._one),
            window=window,
            stopped=self._is_stopped,
            active=_ACTIVE_PER_CALL * concurrency + 1,
        )
        # Closed here and not by the collector: no call may outlive the job that records it.
        async with aclosing(results):
            async for article, outcome in results:
                self._count(outcome)
                on_outcome(article, outcome)
                if isinstance(outcome, Label):
                    known = outcome.from_ledger
                    await self._canaries.note(article, outcome.scores, from_ledger=known)
                progress(self._states.total() - self._states["open"], total, self._note())
        return self._finish()

    def _is_stopped(self) -> bool:
        return self._asker.stopped is not None

    async def _one(self, article: Article) -> Label | Setback:
        question = question_of(self._filter, article, self._settings.occasion)
        blocked = self._filter.prefilter.check(article)
        if blocked is not None:
            self._note_skipped(question, blocked)
            return Setback("skipped", blocked)
        outcome = await self._asker.ask(question)
        self._from_ledger += outcome.from_ledger
        if outcome.state != "done" or outcome.answer is None:
            return Setback(outcome.state, outcome.reason or "", outcome.cost_usd)
        return self._label(outcome, outcome.answer)

    def _note_skipped(self, question: Question, reason: str) -> None:
        key = self._asker.key_of(question)
        known = self._job.ledger.item(key.digest)
        if known is None or (known.state == "skipped" and known.reason != reason):
            self._job.skip(key, question.article_id, reason)

    def _label(self, outcome: Outcome, answer: Mapping[str, Any]) -> Label:
        spec = self._oracle.spec
        provenance = {
            "oracle": spec.name,
            "model": spec.model,
            "prompt_sha256": self._filter.prompt_sha256,
            "text_view_sha256": self._filter.text_view_sha256,
            "parameters_sha256": self._asker.parameters_sha256,
            "labelled_at": outcome.ended_at,
            "cost_usd": outcome.cost_usd,
            "paid": spec.paid,
            "attempts": outcome.attempts,
        }
        scores = dict(answer["scores"])
        return Label(scores, answer["reasoning"], provenance, outcome.from_ledger)

    def _count(self, outcome: Label | Setback) -> None:
        self._states["done" if isinstance(outcome, Label) else outcome.state] += 1

    def _note(self) -> str:
        """Running cost, and what went otherwise than well."""
        shown = [f"{count} {state}" for state, count in self._states.items() if state != "done"]
        return ", ".join([f"${to_dollars(self._asker.cost_nano):.4f}", *shown])

    def _finish(self) -> LabelSummary:
        stop = self._asker.stopped
        self._job.ended = stop.message if stop else "finished"
        summary = self._summary(stop.message if stop else None)
        if stop is None:
            return summary
        error = stop.error()
        if isinstance(error, CheckFailed):
            stopped = LabellingStopped(error.what, error.reasons, error.hint)
            stopped.summary = summary
            raise stopped
        raise error

    def _summary(self, stopped: str | None) -> LabelSummary:
        ledger, spec = self._job.ledger, self._oracle.spec
        return LabelSummary(
            filter=self._filter.label,
            oracle=spec.name,
            model=spec.model,
            paid=spec.paid,
            states=dict(self._states),
            from_ledger=self._from_ledger,
            interrupted=self._job.interrupted,
            activity=activity(ledger, self._filter.label, self._job.run_id),
            money=money(ledger, self._filter.label),
            seconds=time.monotonic() - self._started,
            stopped=stopped,
            canaries=tuple(self._canaries.rounds),
        )


def answer_form(filter: Filter) -> AnswerForm:
    """What every label question of a filter has in common."""
    choice = filter.config.oracle
    return AnswerForm(
        schema=answer_schema(filter),
        schema_name=filter.name,
        answer_format=choice.answer_format,
        max_output_tokens=choice.max_output_tokens,
        temperature=choice.temperature,
    )


def occasion_of(repeat: int) -> str:
    """The occasion of a repeated question; the first answer has none, so its key never changes."""
    return "" if repeat == 1 else f"repeat {repeat}"


def question_of(filter: Filter, article: Article, occasion: str = "") -> Question:
    """The label question about an article, whose text is identified by what stands in the fence.

    Args:
        occasion: which asking of this question it is, see `ItemKey`.
    """
    prompt = render(filter.prompt_template, filter.config, article.title, article.content)
    return Question(
        article_id=article.id,
        article_sha256=sha256_json(fence_content(prompt.user)),
        prompt_sha256=filter.prompt_sha256,
        system=prompt.system,
        user=prompt.user,
        occasion=occasion,
    )
