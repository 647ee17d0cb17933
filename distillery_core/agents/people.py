"""What people judged, laid over the classes of rules and models, and scores beside theirs.

Nothing of it is stored with the rounds: a judgement that is changed or taken back changes what is
decided from the same rounds, and the gate compares the hash of the classes that people gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from distillery_core.agents.rounds import Asked, Round, RoundKind, pool_of
from distillery_core.agents.scored import ScoredArticle
from distillery_core.agreement.paired import compare
from distillery_core.agreement.resampling import Estimate
from distillery_core.dataset.classes import SampleClass
from distillery_core.dataset.judgements import Consensus, People
from distillery_core.fence import normalised_key
from distillery_core.filters.filter import Filter
from distillery_core.filters.score_rules import overall
from distillery_core.filters.text_view import pattern_text
from distillery_core.student.measures.metrics import Array
from distillery_core.types import Article, Scores

OVERALL = "overall"


@dataclass(frozen=True, slots=True)
class AgainstPeople:
    """Scores minus those of people on one dimension, 0-10; None where none was given.

    `bias` is the mean difference (positive: higher than people), `mae` the mean absolute one; low
    and high are 95 % bootstrap intervals over articles.
    """

    dimension: str
    n: int
    bias: float | None
    bias_low: float | None
    bias_high: float | None
    mae: float | None
    mae_low: float | None
    mae_high: float | None


@dataclass(frozen=True)
class ScoresByPeople:
    """Medians of people's scores, 0-10, NaN where none was given.

    Attributes:
        names: who scored.
        scores: [articles, dimensions] in the filter's order.
        overall: after score rules, [articles]; NaN unless every dimension was scored.
    """

    names: tuple[str, ...]
    scores: Array
    overall: Array


@dataclass(frozen=True, slots=True)
class ChangedClass:
    """An article that people took for another class than rules or model did."""

    id: str
    title: str
    was: SampleClass
    now: SampleClass
    why: str


@dataclass(frozen=True, slots=True)
class PeopleFigures:
    """What people made of a sample.

    Attributes:
        names: who judged, in alphabetical order.
        judged, of: articles with a class by people, and all of the sample.
        changed: those whose class they changed.
        split: articles that they gave different classes; `level` of them count as not judged.
        revised: judgements that someone changed after the oracle's scores had been shown.
        unusable: lines of the file that could not be used.
        oracle: the oracle's scores minus theirs, a line a dimension and the overall score.
    """

    names: tuple[str, ...]
    judged: int
    of: int
    changed: tuple[ChangedClass, ...]
    split: tuple[Consensus, ...]
    level: int
    revised: int
    unusable: int
    oracle: tuple[AgainstPeople, ...]

    def numbers(self) -> dict[str, Any]:
        """For a report's front matter: counts and figures, no texts of articles."""
        return {
            "names": list(self.names),
            "judged": self.judged,
            "of": self.of,
            "changed": len(self.changed),
            "split": len(self.split),
            "level": self.level,
            "revised": self.revised,
            "oracle": [asdict(one) for one in self.oracle],
        }


def with_people(one: Round, classes: Mapping[str, SampleClass]) -> Round:
    """A round with the classes that people gave; reviewed where they, or a reader, gave all."""
    if not classes.keys() & one.keys:
        return one
    seen = tuple(replace(it, class_name=classes.get(it.key, it.class_name)) for it in one.seen)
    reviewed = one.classes_reviewed or one.keys <= classes.keys()
    return replace(one, seen=seen, classes_reviewed=reviewed)


def scored_with_people(scored: Sequence[ScoredArticle], people: People) -> list[ScoredArticle]:
    """A sample with the classes that people gave."""
    judged = people.judged
    return [_judged(one, judged.get(one.key)) for one in scored]


def everything_judged(scored: Sequence[ScoredArticle], people: People) -> bool:
    """Whether people agree on a class for every article, so that no model has to be asked."""
    return bool(scored) and {one.key for one in scored} <= people.classes.keys()


def judged_sha256(people: People, rounds: Sequence[Round], kind: RoundKind, asked: Asked) -> str:
    """Hash of the classes that people gave to what a verdict rests on; the gate compares it.

    A validation is compared with the calibration of the same prompt, so it rests on both.
    """
    kinds: tuple[RoundKind, ...] = ("calibration",)
    if kind == "validation":
        kinds = ("calibration", "validation")
    pools = [one for name in kinds for one in pool_of(rounds, name, asked)]
    return people.classes_sha256(key for one in pools for key in one.keys)


def where_classes_come_from(scored: Sequence[ScoredArticle], people: People, others: str) -> str:
    """The origin of a sample's classes in words."""
    keys = {one.key for one in scored}
    judged = keys & people.classes.keys()
    if not judged:
        return others
    names = ", ".join(_names(people, keys))
    if judged == keys:
        return f"judged by people ({names})"
    return f"{len(judged)} of {len(keys)} judged by people ({names}), the others: {others}"


def people_figures(
    filter: Filter, scored: Sequence[ScoredArticle], people: People
) -> PeopleFigures | None:
    """What people made of a sample, None where nobody judged any of it.

    Args:
        scored: the sample with the classes of rules or model.
    """
    judged, keys = people.judged, {one.key for one in scored}
    here = [judged[key] for key in keys & judged.keys()]
    if not here:
        return None
    pairs = [(one, judged[one.key]) for one in scored if one.key in judged]
    return PeopleFigures(
        names=tuple(_names(people, keys)),
        judged=sum(one.class_name is not None for one in here),
        of=len(keys),
        changed=tuple(_changed(one, by) for one, by in pairs if _differs(one, by)),
        split=tuple(sorted((o for o in here if not o.unanimous), key=lambda one: one.id)),
        level=sum(one.class_name is None for one in here),
        revised=sum(key in keys for key, _ in people.revised),
        unusable=len(people.problems),
        oracle=tuple(_oracle_against(filter, pairs)),
    )


def people_scores(
    filter: Filter, articles: Sequence[Article], people: People
) -> ScoresByPeople | None:
    """People's scores of articles; None where nobody scored any of them."""
    judged = people.judged
    found = [judged.get(normalised_key(one.content)) for one in articles]
    given: list[Scores] = [one.scores if one else {} for one in found]
    values = np.array(
        [[scores.get(name, np.nan) for name in filter.dimensions] for scores in given],
        dtype=np.float64,
    ).reshape(len(given), len(filter.dimensions))
    if not np.isfinite(values).any():
        return None
    whole = [_overall(filter, one, scores) for one, scores in zip(articles, given, strict=True)]
    keys = {one.key for one in found if one is not None and one.scores}
    names = sorted({who for (key, who), one in people.latest.items() if key in keys and one.scores})
    return ScoresByPeople(tuple(names), values, np.array(whole, dtype=np.float64))


def against_people(
    dimensions: Sequence[str], scores: Array, by_people: Array
) -> list[AgainstPeople]:
    """Scores minus those of people, a line for each column; both [articles, columns], NaN where
    one is missing."""
    return [
        _line(name, scores[:, at].astype(np.float64), by_people[:, at])
        for at, name in enumerate(dimensions)
    ]


def _line(name: str, scores: Array, by_people: Array) -> AgainstPeople:
    found = compare(scores, by_people)
    return AgainstPeople(name, found.n, *_numbers(found.bias), *_numbers(found.mae))


def _numbers(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    if not estimate.known:
        return None, None, None
    return estimate.value, estimate.low, estimate.high


def _oracle_against(
    filter: Filter, pairs: Sequence[tuple[ScoredArticle, Consensus]]
) -> list[AgainstPeople]:
    if not any(by.scores for _, by in pairs):
        return []
    oracle = [_row(filter, one.scores or {}, one.overall) for one, _ in pairs]
    theirs = [_row(filter, by.scores, _overall(filter, a.article, by.scores)) for a, by in pairs]
    return against_people([*filter.dimensions, OVERALL], np.array(oracle), np.array(theirs))


def _row(filter: Filter, scores: Scores, value: float | None) -> list[float]:
    row = [scores.get(name, float("nan")) for name in filter.dimensions]
    return [*row, float("nan") if value is None else value]


def _overall(filter: Filter, article: Article, scores: Scores) -> float:
    """The overall score after rules; NaN unless every dimension was scored."""
    if not set(filter.dimensions) <= scores.keys():
        return float("nan")
    own = {name: scores[name] for name in filter.dimensions}
    return overall(filter, own, pattern_text(article.title, article.content)).value


def _judged(one: ScoredArticle, by: Consensus | None) -> ScoredArticle:
    if by is None or by.class_name is None:
        return one
    return replace(one, class_name=by.class_name, class_reason=_why(by))


def _why(by: Consensus) -> str:
    names = ", ".join(by.votes)
    return f"judged by {names}; {'; '.join(by.notes)}" if by.notes else f"judged by {names}"


def _differs(one: ScoredArticle, by: Consensus) -> bool:
    return by.class_name is not None and by.class_name != one.class_name


def _changed(one: ScoredArticle, by: Consensus) -> ChangedClass:
    now = by.class_name or one.class_name
    return ChangedClass(one.article.id, one.article.title, one.class_name, now, _why(by))


def _names(people: People, keys: set[str]) -> list[str]:
    return sorted({name for key, name in people.latest if key in keys})
