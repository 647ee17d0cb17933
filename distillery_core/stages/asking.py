"""Asks the oracle about a handful of articles and keeps every outcome by article id."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from distillery_core.filters import Filter
from distillery_core.labelling.run import (
    Label,
    LabelSettings,
    LabelSummary,
    Setback,
    answer_form,
    label_articles,
    question_of,
)
from distillery_core.oracle.ledger import ItemKey, Ledger
from distillery_core.oracle.ledger_report import answered_ids
from distillery_core.oracle.opening import open_oracle
from distillery_core.oracle.spec import OracleSpec
from distillery_core.stages.oracles import recording_folder
from distillery_core.types import Article, Progress, silent


@dataclass(frozen=True)
class Answers:
    """What came back for some articles, by article id, and the account of the run."""

    by_id: Mapping[str, Label | Setback]
    summary: LabelSummary

    @property
    def labels(self) -> list[Label]:
        """The usable answers."""
        return [answer for answer in self.by_id.values() if isinstance(answer, Label)]

    @property
    def cost_usd(self) -> float:
        """What all calls for these articles took, over all runs, usable or not."""
        return sum(
            answer.provenance["cost_usd"] if isinstance(answer, Label) else answer.cost_usd
            for answer in self.by_id.values()
        )

    @property
    def last_at(self) -> str:
        """When the last usable answer came, empty where there is none."""
        return max((label.provenance["labelled_at"] for label in self.labels), default="")

    def and_then(self, later: Answers) -> Answers:
        """Both together."""
        summary = _together(self.summary, later.summary)
        return Answers({**self.by_id, **later.by_id}, summary)


@dataclass(frozen=True)
class Asking:
    """Who is asked, with which settings, and where it is written down."""

    filter: Filter
    spec: OracleSpec
    ledger: Ledger
    settings: LabelSettings
    progress: Progress = silent

    def about(self, articles: Sequence[Article]) -> Answers:
        """Ask about articles, each to its end.

        Raises:
            UserError, CheckFailed: as `labelling.run.label_articles`.
        """
        return asyncio.run(self._ask(articles))

    def answered(self, articles: Sequence[Article]) -> list[Article]:
        """Those that are answered in the ledger, so that asking about them is free."""
        asked_as = (self.filter.prompt_sha256, self.spec.model, self.settings.occasion)
        known = answered_ids(self.ledger, *asked_as)
        candidates = [article for article in articles if article.id in known]
        # By their ids; most often there is none, and no oracle has to be opened to say so.
        return asyncio.run(self._answered(candidates)) if candidates else []

    async def _answered(self, articles: Sequence[Article]) -> list[Article]:
        folder = recording_folder(self.filter)
        async with open_oracle(self.spec, recording_folder=folder) as oracle:
            parameters = answer_form(self.filter).parameters_sha256(oracle)

        def ended(article: Article) -> bool:
            asked = question_of(self.filter, article)
            text, occasion = asked.article_sha256, self.settings.occasion
            key = ItemKey(text, asked.prompt_sha256, self.spec.model, parameters, occasion)
            item = self.ledger.item(key.digest)
            return item is not None and item.state in ("done", "rejected")

        return [article for article in articles if ended(article)]

    def for_purpose(self, purpose: str) -> Asking:
        """The same under another purpose in the ledger."""
        return replace(self, settings=replace(self.settings, purpose=purpose))

    async def _ask(self, articles: Sequence[Article]) -> Answers:
        found: dict[str, Label | Setback] = {}

        def keep(article: Article, answer: Label | Setback) -> None:
            found[article.id] = answer

        folder = recording_folder(self.filter)
        async with open_oracle(self.spec, recording_folder=folder) as oracle:
            summary = await label_articles(
                self.filter,
                articles,
                oracle,
                self.ledger,
                settings=self.settings,
                on_label=keep,
                on_setback=keep,
                progress=self.progress,
                total=len(articles),
            )
        return Answers(found, summary)


def _together(first: LabelSummary, later: LabelSummary) -> LabelSummary:
    """Two runs as one; the money is the filter's, so the later one holds it all."""
    return replace(
        later,
        states=dict(Counter(first.states) + Counter(later.states)),
        from_ledger=first.from_ledger + later.from_ledger,
        interrupted=first.interrupted + later.interrupted,
        activity=first.activity + later.activity,
        seconds=first.seconds + later.seconds,
    )
