"""Second answers of an oracle to the same articles: how far it disagrees with itself."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from distillery_core.dataset.rejects import Rejects
from distillery_core.dataset.rows import read_labelled
from distillery_core.filters import Filter
from distillery_core.labelling.run import Label, LabelSummary
from distillery_core.oracle.recording import load_repeats
from distillery_core.stages.asking import Answers, Asking
from distillery_core.stages.oracles import recording_folder
from distillery_core.types import Article, Scores


def recorded_repeats(filter: Filter) -> dict[str, Scores]:
    """Second scores by article id, where the filter's recording has some."""
    folder = recording_folder(filter)
    second = load_repeats(folder) if folder else {}
    return {
        name: {dimension: float(answer[dimension]) for dimension in filter.dimensions}
        for name, answer in second.items()
    }


@dataclass(frozen=True)
class Again:
    """Further answers to a sample: scores by article id, what they took, the runs' accounts."""

    scores: dict[str, list[Scores]]
    cost_usd: float = 0.0
    asked: tuple[Answers, ...] = ()

    def with_first(self, first: Answers) -> LabelSummary:
        """The account of all runs together."""
        together = first
        for one in self.asked:
            together = together.and_then(one)
        return together.summary


def ask_again(asking: Asking, articles: Sequence[Article], repeats: int) -> Again:
    """Ask about a sample until every article has been asked `repeats` times.

    Further answers that the ledger holds count too: a verdict that rested on them is not mended by
    asking for fewer. (A recording repeats itself, which tells nothing.)

    Raises:
        UserError, CheckFailed: as `Asking.about`.
    """
    asked = []
    scores: dict[str, list[Scores]] = {}
    for repeat in count(2):
        once_more = replace(asking, settings=replace(asking.settings, repeat=repeat))
        wanted = articles
        if repeat > repeats:
            wanted = [] if asking.spec.recording else once_more.answered(articles)
        if not wanted:
            break
        asked.append(once_more.about(wanted))
        for id, answer in asked[-1].by_id.items():
            if isinstance(answer, Label):
                scores.setdefault(id, []).append(answer.scores)
    return Again(scores, sum(one.cost_usd for one in asked), tuple(asked))


def noise_floor(
    filter: Filter, labelled: Path, repeats: Mapping[str, Scores]
) -> dict[str, float] | None:
    """Mean absolute difference per dimension between first and second answers, 0-10.

    No student can be expected to come closer to its oracle than the oracle to itself.
    """
    differences: dict[str, list[float]] = {name: [] for name in filter.dimensions}
    with tempfile.TemporaryDirectory() as scratch, Rejects(Path(scratch) / "rows") as rejects:
        for row in read_labelled(labelled, filter, rejects) if repeats else ():
            second = repeats.get(row.article.id)
            if second is None:
                continue
            for name, first in zip(filter.dimensions, row.scores, strict=True):
                differences[name].append(abs(first - second[name]))
    if not all(differences.values()):
        return None
    return {name: sum(values) / len(values) for name, values in differences.items()}
