"""The stratified, seeded sample of a calibration round.

Which articles are drawn depends on the seed, the filter's name and the articles' ids, not on the
order of the input. Memory holds a few candidates a class, however long the corpus is.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from distillery_core.dataset.classes import (
    CLASSES,
    Classified,
    SampleClass,
    classify,
    has_rules,
)
from distillery_core.dataset.duplicates import KnownTexts
from distillery_core.dataset.junk import junk_reason
from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters.filter import Filter
from distillery_core.types import Article, Progress, silent

Round = Literal["calibration", "validation"]

_SPARE = 10
"""Candidates kept a wanted article, so that duplicates and earlier rounds can be passed over."""

_REPORT_EVERY = 1000


@dataclass(frozen=True)
class Sample:
    """A drawn sample; each article carries `sample: {class, reason, by, seed, round}`.

    Attributes:
        articles: in the order of their ranks, classes mixed.
        asked, drawn: articles per class.
        available: articles of each class that the corpus holds, before duplicates were passed over.
        passed_over: why articles were not candidates -> how many.
    """

    articles: tuple[Article, ...]
    asked: Mapping[SampleClass, int]
    drawn: Mapping[SampleClass, int]
    available: Mapping[SampleClass, int]
    passed_over: Mapping[str, int]

    @property
    def shortfall(self) -> dict[SampleClass, int]:
        """Per class how many articles are missing; empty when all were found."""
        missing = {name: self.asked[name] - self.drawn[name] for name in CLASSES}
        return {name: count for name, count in missing.items() if count > 0}


def draw_sample(
    filter: Filter,
    articles: Iterable[Article],
    *,
    n_positive: int,
    n_negative: int,
    n_edge: int,
    seed: int,
    round: Round,
    classes: Mapping[str, Classified] | None = None,
    exclude: Iterable[Article] = (),
    apply_prefilter: bool = True,
    progress: Progress = silent,
    unclassified: str = "no reviewed class",
) -> Sample:
    """Draw on-topic, off-topic and edge articles, as many of each as there are up to the number.

    Args:
        n_positive, n_negative, n_edge: on-topic, off-topic, edge; a filter without an edge class
            (`sampling.has_edge: false`) gets none.
        classes: reviewed classes by article id, or those by similarity; an article without one is
            passed over, for the reason `unclassified`. None means the filter's keyword rules.
        exclude: articles of earlier rounds; they and their near-duplicates are not drawn again.
        apply_prefilter: pass over what the filter's pre-filter blocks, since it is never scored.

    Raises:
        UserError: the filter has no rules to tell classes by, and no reviewed classes are given.
    """
    if classes is None and n_positive > 0 and not has_rules(filter):
        raise UserError(
            f"the filter {filter.label} has no sampling.on_topic keywords or patterns",
            where=filter.folder / "config.yaml",
            hint="add them, or name a reviewed file with sampling.classes_file",
        )
    edge = n_edge if filter.config.sampling.has_edge else 0
    asked: dict[SampleClass, int] = dict(zip(CLASSES, (n_positive, n_negative, edge), strict=True))
    earlier = tuple(exclude)
    pool = _Pool({name: n * _SPARE + 2 * len(earlier) + 100 for name, n in asked.items() if n})
    passed = Counter[str]()
    for number, article in enumerate(articles, 1):
        known = classes is None or article.id in classes
        reason = unfit(filter, article, apply_prefilter) if known else unclassified
        if reason is None:
            pool.offer(article, _classified(filter, article, classes), rank(filter, seed, article))
        else:
            passed[reason] += 1
        if number % _REPORT_EVERY == 0:
            progress(number, None, "articles looked at")
    chosen = _choose(pool, asked, earlier, passed)
    drawn = Counter(candidate.classified.name for candidate in chosen)
    return Sample(
        articles=tuple(_marked(candidate, seed, round) for candidate in chosen),
        asked=asked,
        drawn={name: drawn[name] for name in CLASSES},
        available={name: pool.offered[name] for name in CLASSES},
        passed_over=dict(passed.most_common()),
    )


def refuse_short(sample: Sample) -> None:
    """See that every class has as many articles as asked.

    Raises:
        CheckFailed: a class has fewer, with the counts.
    """
    if sample.shortfall:
        raise CheckFailed(
            "the corpus has too few articles for this sample",
            reasons=[
                *(
                    f"{name}: asked {sample.asked[name]}, drawn {sample.drawn[name]} "
                    f"of {sample.available[name]} found"
                    for name in sample.shortfall
                ),
                *(f"passed over: {n} {reason}" for reason, n in sample.passed_over.items()),
            ],
            hint="add articles, widen the filter's sampling rules, or ask for fewer",
        )


@dataclass(frozen=True, slots=True, order=True)
class _Candidate:
    """An article that may be drawn; the lowest rank comes first."""

    rank: int
    article: Article = field(compare=False)
    classified: Classified = field(compare=False)


class _Pool:
    """The lowest-ranked candidates of each class, up to a capacity."""

    def __init__(self, capacity: Mapping[SampleClass, int]) -> None:
        self._capacity = capacity
        self._heaps: dict[SampleClass, list[tuple[int, _Candidate]]] = {n: [] for n in capacity}
        self.offered: Counter[SampleClass] = Counter()

    def offer(self, article: Article, classified: Classified, rank: int) -> None:
        """Keep the article if it is among the lowest of its class."""
        self.offered[classified.name] += 1
        heap = self._heaps.get(classified.name)
        if heap is None:
            return
        item = (-rank, _Candidate(rank, article, classified))
        if len(heap) < self._capacity[classified.name]:
            heapq.heappush(heap, item)
        elif item[0] > heap[0][0]:
            heapq.heapreplace(heap, item)

    def in_order(self) -> Iterator[_Candidate]:
        """All kept candidates by rank."""
        return iter(sorted(candidate for heap in self._heaps.values() for _, candidate in heap))


def unfit(filter: Filter, article: Article, apply_prefilter: bool = True) -> str | None:
    """Why an article is no candidate for any sample, None if it is one."""
    junk = junk_reason(article)
    if junk:
        return f"junk: {junk}"
    if apply_prefilter and filter.prefilter.check(article):
        return "blocked by the pre-filter"
    return None


def _classified(
    filter: Filter, article: Article, classes: Mapping[str, Classified] | None
) -> Classified:
    return classify(filter, article) if classes is None else classes[article.id]


def rank(filter: Filter, seed: int, article: Article) -> int:
    """A number that is random to everybody and the same on every machine."""
    data = f"{seed}\n{filter.name}\n{article.id}".encode()
    return int.from_bytes(blake2b(data, digest_size=16).digest(), "big")


def _choose(
    pool: _Pool,
    asked: Mapping[SampleClass, int],
    earlier: tuple[Article, ...],
    passed: Counter[str],
) -> list[_Candidate]:
    """The lowest ranks whose texts are neither known from earlier rounds nor chosen already."""
    ids = {article.id for article in earlier}
    before = KnownTexts(article.content for article in earlier)
    chosen_texts = KnownTexts()
    chosen: list[_Candidate] = []
    taken: Counter[SampleClass] = Counter()
    for candidate in pool.in_order():
        name, text = candidate.classified.name, candidate.article.content
        if taken[name] >= asked[name]:
            continue
        if candidate.article.id in ids or text in before:
            passed["in an earlier round, or nearly the same"] += 1
        elif text in chosen_texts:
            passed["nearly the same as another drawn article"] += 1
        else:
            chosen_texts.add(text)
            chosen.append(candidate)
            taken[name] += 1
    return chosen


def _marked(candidate: _Candidate, seed: int, round: Round) -> Article:
    article, classified = candidate.article, candidate.classified
    sample = {
        "class": classified.name,
        "reason": classified.reason,
        "by": classified.by,
        "seed": seed,
        "round": round,
    }
    return Article(article.id, article.title, article.content, {**article.extra, "sample": sample})
