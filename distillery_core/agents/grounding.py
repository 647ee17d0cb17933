"""Whether the oracle read what it scored: are its explanation's words in its own article?

Healthy prompts reach a lift of 3.6-10, prompts that sent no article about 1.0: an explanation of
nothing fits every article equally well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distillery_core.agents.scored import ScoredArticle
from distillery_core.agents.words import content_words
from distillery_core.reports.formatting import percent
from distillery_core.verdicts.measurement import Measurement, not_applicable

MOST = 99.0
"""What is reported where no explanation shares a word with any other article (a ratio over 0)."""


@dataclass(frozen=True, slots=True)
class Grounding:
    """Shares of one explanation's distinct content words, 0-1.

    `own` is the share found in its own article; `other` the mean share in all other articles.
    """

    own: float
    other: float


def grounding(scored: Sequence[ScoredArticle]) -> list[Grounding | None]:
    """The grounding of each article's explanation; None where it has none (or only stop words).

    Articles of the same text as an explanation's own are not "other" articles.
    """
    texts = [content_words(f"{one.article.title} {one.article.content}") for one in scored]
    return [_grounding(at, scored, texts) for at in range(len(scored))]


def _grounding(
    at: int, scored: Sequence[ScoredArticle], texts: Sequence[frozenset[str]]
) -> Grounding | None:
    words = content_words(scored[at].reasoning or "")
    if not words:
        return None
    shares = [
        len(words & texts[other]) / len(words)
        for other in range(len(scored))
        if scored[other].key != scored[at].key
    ]
    own = len(words & texts[at]) / len(words)
    return Grounding(own, sum(shares) / len(shares)) if shares else None


def grounding_lift(found: Sequence[Grounding | None]) -> Measurement:
    """Mean own share over mean other share (a ratio of means, which single articles do not upset).

    Not applicable where no answer carries an explanation.
    """
    known = [one for one in found if one is not None]
    if not known:
        return not_applicable("the answers carry no explanations")
    own = sum(one.own for one in known) / len(known)
    other = sum(one.other for one in known) / len(known)
    lift = min(own / other, MOST) if other > 0 else (MOST if own > 0 else 0.0)
    shares = f"{percent(own)} of an explanation's words stand in its own article"
    note = f"{shares}, {percent(other)} in another"
    return Measurement(lift, n=len(known), note=note)
