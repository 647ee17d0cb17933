"""An article of a sample with what the oracle made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from distillery_core.dataset.classes import CLASSES, SampleClass
from distillery_core.errors import UserError
from distillery_core.fence import normalised_key
from distillery_core.filters.filter import Filter
from distillery_core.filters.score_rules import overall
from distillery_core.filters.text_view import pattern_text
from distillery_core.labelling.run import Label, Setback
from distillery_core.types import Article

State = Literal["scored", "rejected", "failed", "blocked"]
"""scored: a valid answer; rejected: answered, unusable; failed: no answer; blocked: never asked,
the pre-filter kept it out."""


@dataclass(frozen=True)
class ScoredArticle:
    """One sampled article.

    Attributes:
        class_name: what the sampler or a reviewer took it for, before any score was seen.
        class_reason: why.
        scores: dimension -> 0-10; None unless `state` is "scored".
        reasoning: the oracle's explanation.
        failure: why there are no scores.
        overall: weighted mean after score rules, 0-10; None without scores.
    """

    article: Article
    class_name: SampleClass
    class_reason: str = ""
    state: State = "scored"
    scores: Mapping[str, float] | None = None
    reasoning: str | None = None
    failure: str | None = None
    overall: float | None = None

    @cached_property
    def key(self) -> str:
        """Identity of the text, the same whatever its id, case or punctuation."""
        return normalised_key(self.article.content)


_STATES: dict[str, State] = {"rejected": "rejected", "failed": "failed", "skipped": "blocked"}
"""How a label's setback counts; whatever else ended without an answer (a stopped run) failed."""


def score_sample(
    filter: Filter,
    sample: Sequence[Article],
    answers: Mapping[str, Label | Setback],
    classes: Mapping[str, tuple[str, str]] | None = None,
) -> list[ScoredArticle]:
    """Join a sample with its answers.

    Args:
        sample: articles whose `extra["sample"]` holds `{class, reason, seed, round}`.
        answers: article id -> label, or why there is none. An article without an entry was asked
            and never answered.
        classes: id -> (class, reason) that replaces the sampler's, e.g. a reviewer's.

    Raises:
        UserError: an article carries no class, or none that is known.
    """
    given = classes or {}
    return [
        _scored(filter, article, answers.get(article.id), _class_of(article, given))
        for article in sample
    ]


def _scored(
    filter: Filter,
    article: Article,
    answer: Label | Setback | None,
    judged: tuple[SampleClass, str],
) -> ScoredArticle:
    name, why = judged
    if answer is None:
        return ScoredArticle(article, name, why, "failed", failure="not answered")
    if isinstance(answer, Setback):
        state = _STATES.get(answer.state, "failed")
        return ScoredArticle(article, name, why, state, failure=answer.reason or answer.state)
    text = pattern_text(article.title, article.content)
    value = overall(filter, answer.scores, text).value
    scores = {dimension: float(answer.scores[dimension]) for dimension in filter.dimensions}
    return ScoredArticle(
        article, name, why, "scored", scores, answer.reasoning or None, None, value
    )


def _class_of(article: Article, given: Mapping[str, tuple[str, str]]) -> tuple[SampleClass, str]:
    sample: Any = article.extra.get("sample")
    own = sample if isinstance(sample, Mapping) else {}
    name, why = given.get(article.id, (own.get("class"), own.get("reason")))
    for known in CLASSES:
        if name == known:
            return known, str(why or "")
    raise UserError(
        f"article {article.id!r} has no class on_topic, off_topic or edge",
        hint="draw the sample with `distillery sample`, which stores the class of each article",
    )


def valid(scored: Sequence[ScoredArticle], *classes: SampleClass) -> list[ScoredArticle]:
    """Those with scores, of the given classes (none given: of all)."""
    return [
        one
        for one in scored
        if one.scores is not None and (not classes or one.class_name in classes)
    ]
