"""Canaries: some answered articles are asked again now and then, to see an oracle drift in time.

Providers change models behind a name. The first articles that a run has labels for are the fixed
set; after every so many new answers all of them are asked again, through the same ledger and
budget, each round an occasion of its own. A run that was killed finds its rounds in the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from distillery_core.agreement.drift import CanaryRound, drifts_between
from distillery_core.oracle.asking import Asker
from distillery_core.oracle.flow import Stop
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.questions import Outcome, Question
from distillery_core.types import Article, Scores


@dataclass(frozen=True, slots=True)
class CanarySettings:
    """How often canaries are asked.

    Args:
        every: new answers between two rounds; 0 asks none.
        articles: size of the fixed set.
        limit: points of bias in a dimension beyond which the run stops, if it is no chance.
    """

    every: int = 0
    articles: int = 20
    limit: float = 0.5


@dataclass
class Canaries:
    """The canaries of one run.

    Args:
        question: an article and an occasion to a question.
        occasion: of the run's own questions.
    """

    asker: Asker
    ledger: Ledger
    settings: CanarySettings
    question: Callable[[Article, str], Question]
    occasion: str = ""
    rounds: list[CanaryRound] = field(default_factory=list)
    _fixed: list[tuple[Article, Scores]] = field(default_factory=list)
    _next: int = 1
    _answers: int = 0

    async def note(self, article: Article, scores: Scores, *, from_ledger: bool) -> None:
        """Take notice of a label; when a round is due, ask it, and stop the run if it fires."""
        if not self.settings.every or self.asker.stopped is not None:
            return
        self._answers += not from_ledger
        if len(self._fixed) < self.settings.articles:
            self._fixed.append((article, scores))
            if len(self._fixed) == self.settings.articles:
                await self._go_on()
        elif not from_ledger and self._answers % self.settings.every == 0:
            await self._ask()

    async def _go_on(self) -> None:
        """Find the rounds of earlier runs. After one that fired, ask anew before all else."""
        last: CanaryRound | None = None
        while known := self._known(self._next):
            last = self._compare(self._next, known)
            self._next += 1
        if last is not None and last.fired:
            await self._ask()

    def _known(self, round: int) -> list[Mapping[str, Any] | None] | None:
        """The checked answers of a round that has ended, else None."""
        found: list[Mapping[str, Any] | None] = []
        for question in self._questions(round):
            item = self.ledger.item(self.asker.key_of(question).digest)
            if item is None or not item.terminal:
                return None
            found.append(item.answer)
        return found

    async def _ask(self) -> None:
        """One round. A run that stops meanwhile leaves it open, and the next run ends it."""
        outcomes = await asyncio.gather(*map(self.asker.ask, self._questions(self._next)))
        if any(outcome.state == "open" for outcome in outcomes):
            return
        found = self._compare(self._next, [_answer(outcome) for outcome in outcomes])
        self._next += 1
        self.rounds.append(found)
        if found.fired and self.asker.stopped is None:
            self.asker.stopped = self._stop(found)

    def _questions(self, round: int) -> list[Question]:
        occasion = f"{self.occasion} canary {round}".strip()
        return [self.question(article, occasion) for article, _ in self._fixed]

    def _compare(self, round: int, answers: list[Mapping[str, Any] | None]) -> CanaryRound:
        pairs = [
            (first, answer["scores"])
            for (_, first), answer in zip(self._fixed, answers, strict=True)
            if answer is not None
        ]
        first, now = [old for old, _ in pairs], [new for _, new in pairs]
        drifts = drifts_between(first, now, round=round, limit=self.settings.limit)
        return CanaryRound(round, len(pairs), self._answers, drifts)

    def _stop(self, found: CanaryRound) -> Stop:
        told = ", ".join(drift.words() for drift in found.fired)
        what = (
            f"the oracle has drifted: {told}; {found.articles} canaries asked again after "
            f"{found.after_answers} answers, against their first answers (round {found.round}, "
            f"limit {self.settings.limit:g})"
        )
        hint = (
            "answers so far are in the ledger (`distillery ledger export`). The same command asks "
            "the canaries again first and goes on if it was a passing fault. If the model was "
            "changed for good, name the new one in oracles.yaml and calibrate it: all articles are "
            "then asked anew. --canaries 0 goes on with a mixture"
        )
        return Stop("drift", what, hint)


def _answer(outcome: Outcome) -> Mapping[str, Any] | None:
    return outcome.answer if outcome.state == "done" else None
