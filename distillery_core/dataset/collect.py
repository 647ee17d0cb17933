"""The first pass of prepare: validates the labelled file row by row and spools training rows.

Texts go to a spool file on disk; memory keeps about 300 bytes a row (scores, tier, keys).
"""

from __future__ import annotations

import json
import math
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from distillery_core.dataset.duplicates import TextIndex
from distillery_core.dataset.quality import Floats, Labels
from distillery_core.dataset.rejects import Rejects
from distillery_core.dataset.rows import LabelledArticle, read_labelled
from distillery_core.filters.filter import Filter
from distillery_core.filters.score_rules import overall
from distillery_core.filters.text_view import pattern_text
from distillery_core.types import Progress, silent

_REPORT_EVERY = 1000


class Provenance(NamedTuple):
    """Who gave a label; None where the row does not say."""

    oracle: str | None
    prompt_sha256: str | None
    text_view_sha256: str | None


@dataclass
class LabelLog:
    """What the rows say about who labelled them, when, and for how much."""

    provenances: Counter[Provenance] = field(default_factory=Counter)
    first: str | None = None
    last: str | None = None
    usd: float = 0.0
    paid_usd: float = 0.0
    without_cost: int = 0

    def add(self, provenance: Mapping[str, Any]) -> None:
        """Count one row."""
        names = (_text(provenance.get(key)) for key in Provenance._fields)
        self.provenances[Provenance(*names)] += 1
        when = _text(provenance.get("labelled_at"))
        if when is not None:
            self.first = min(self.first or when, when)
            self.last = max(self.last or when, when)
        self._add_cost(provenance)

    def _add_cost(self, provenance: Mapping[str, Any]) -> None:
        cost = provenance.get("cost_usd")
        if isinstance(cost, bool) or not isinstance(cost, int | float) or not math.isfinite(cost):
            self.without_cost += 1
            return
        self.usd += cost
        self.paid_usd += cost if provenance.get("paid") is True else 0.0

    @property
    def asked_with(self) -> set[tuple[str | None, str | None]]:
        """The different pairs of oracle and prompt."""
        return {(who.oracle, who.prompt_sha256) for who in self.provenances}


@dataclass
class Collected:
    """All usable rows: their texts in the spool, everything else in columns of equal length."""

    dimensions: tuple[str, ...]
    spool: IO[bytes]
    starts: array[int] = field(default_factory=lambda: array("q", [0]))
    index: TextIndex = field(default_factory=TextIndex)
    classes: list[str | None] = field(default_factory=list)
    tiers: array[int] = field(default_factory=lambda: array("q"))
    log: LabelLog = field(default_factory=LabelLog)
    _scores: array[float] = field(default_factory=lambda: array("f"))
    _overall: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.tiers)

    def add(self, labelled: LabelledArticle, filter: Filter) -> None:
        """Keep one row."""
        article = labelled.article
        scores = dict(zip(filter.dimensions, labelled.scores, strict=True))
        value = overall(filter, scores, pattern_text(article.title, article.content)).value
        line = training_line(labelled, self.dimensions)
        self.spool.write(line)
        self.starts.append(self.starts[-1] + len(line))
        self.index.add(article.content)
        self.classes.append(_sample_class(labelled))
        self.tiers.append(tier_number(filter, value))
        self.log.add(labelled.provenance)
        self._scores.extend(labelled.scores)
        self._overall.append(value)

    def line(self, row: int) -> bytes:
        """A row's training line, as spooled."""
        self.spool.flush()
        self.spool.seek(self.starts[row])
        return self.spool.read(self.starts[row + 1] - self.starts[row])

    def value(self, row: int, key: str) -> str:
        """One text of a row."""
        return str(json.loads(self.line(row))[key])

    def labels(self, rejects: Rejects, mixture_declared: bool) -> Labels:
        """The columns that Dataset QA looks at."""
        return Labels(
            dimensions=self.dimensions,
            scores=_floats(self._scores).reshape(len(self), len(self.dimensions)),
            overall=_floats(self._overall),
            classes=self.classes,
            rows_read=rejects.read,
            rejected=dict(rejects.counts),
            provenances=len(self.log.asked_with),
            mixture_declared=mixture_declared,
        )


def collect(
    labelled: Path,
    filter: Filter,
    rejects: Rejects,
    spool: IO[bytes],
    progress: Progress = silent,
) -> Collected:
    """Read and check the whole file once.

    Raises:
        UserError: the file cannot be read, or no row of it is usable.
    """
    collected = Collected(filter.dimensions, spool)
    for row in read_labelled(labelled, filter, rejects):
        collected.add(row, filter)
        if len(collected) % _REPORT_EVERY == 0:
            progress(rejects.read, None, "rows read")
    progress(rejects.read, rejects.read, "rows read")
    return collected


def training_line(labelled: LabelledArticle, dimensions: tuple[str, ...]) -> bytes:
    """A row in the training format, with its source and sampling class where they are known."""
    article = labelled.article
    row: dict[str, Any] = {
        "id": article.id,
        "title": article.title,
        "content": article.content,
        "labels": list(labelled.scores),
        "dimension_names": list(dimensions),
    }
    source, sample_class = _text(article.extra.get("source")), _sample_class(labelled)
    if source is not None:
        row["source"] = source
    if sample_class is not None:
        row["class"] = sample_class
    return json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n"


def tier_number(filter: Filter, value: float) -> int:
    """0 for the filter's highest tier, counting downwards."""
    tiers = filter.config.scoring.tiers
    return next(number for number, tier in enumerate(tiers) if value >= tier.at)


def _sample_class(labelled: LabelledArticle) -> str | None:
    sample = labelled.article.extra.get("sample")
    return _text(sample.get("class")) if isinstance(sample, Mapping) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _floats(values: array[float]) -> Floats:
    return np.array(values, dtype=np.float64)
