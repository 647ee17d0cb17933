"""`judgements.jsonl`: what people made of articles; the last word of each person counts.

The file lies beside a filter's reports and only ever grows: one line a judgement, written through
to the disk before the next article is shown. A line that cannot be used is named and passed over.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from distillery_core.dataset.classes import CLASSES, SampleClass
from distillery_core.dataset.lines import Line, read_lines
from distillery_core.dataset.rows import parse_line
from distillery_core.errors import UserError
from distillery_core.files import now_utc, sha256_json
from distillery_core.types import SCORE_MAX, SCORE_MIN

JUDGEMENTS_FILE = "judgements.jsonl"
MAX_NOTE = 2000
MAX_NAME = 100
"""Longest note and name, in characters."""

Score = Annotated[float, Field(ge=SCORE_MIN, le=SCORE_MAX, allow_inf_nan=False, strict=True)]


class Judgement(BaseModel):
    """One person's judgement of one article.

    Attributes:
        text_key: identity of the article's text (`fence.normalised_key`); an article whose words
            changed since has to be judged again.
        class_name: written as `class`.
        scores: dimension -> 0-10; those that the person gave, none by default.
        date: when, ISO 8601.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    id: str = Field(min_length=1)
    text_key: str = Field(pattern="^[0-9a-f]{64}$")
    title: str = ""
    class_name: SampleClass = Field(alias="class")
    scores: dict[str, Score] = Field(default_factory=dict)
    name: str = Field(min_length=1, max_length=MAX_NAME)
    date: str = Field(default_factory=now_utc)
    note: str = Field(default="", max_length=MAX_NOTE)

    @field_validator("name")
    @classmethod
    def _one_line(cls, name: str) -> str:
        if not name.isprintable() or name != name.strip():
            raise ValueError("a name is one line without spaces around it")
        return name

    @field_validator("date")
    @classmethod
    def _iso(cls, date: str) -> str:
        datetime.fromisoformat(date)
        return date

    def same_as(self, other: Judgement | None) -> bool:
        """Whether `other` says the same, whenever it was said."""
        return other is not None and self == other.model_copy(update={"date": self.date})

    def row(self) -> dict[str, Any]:
        """As a JSON object."""
        return self.model_dump(by_alias=True)


@dataclass(frozen=True)
class Consensus:
    """What the people who judged one text say together.

    Attributes:
        class_name: the class that most of them gave; None where two classes are level.
        votes: name -> class.
        scores: dimension -> median of those who scored it, 0-10.
        notes: what they wrote, with their names.
    """

    key: str
    id: str
    title: str
    class_name: SampleClass | None
    votes: Mapping[str, SampleClass]
    scores: Mapping[str, float]
    notes: tuple[str, ...] = ()

    @property
    def unanimous(self) -> bool:
        """Whether all of them gave one class."""
        return len(set(self.votes.values())) == 1

    @classmethod
    def of(cls, judgements: Sequence[Judgement]) -> Self:
        """The consensus on one text; one judgement a person, at least one."""
        last = judgements[-1]
        counts = Counter(one.class_name for one in judgements).most_common()
        level = len(counts) > 1 and counts[0][1] == counts[1][1]
        given: dict[str, list[float]] = {}
        for one in judgements:
            for dimension, score in one.scores.items():
                given.setdefault(dimension, []).append(score)
        return cls(
            key=last.text_key,
            id=last.id,
            title=last.title,
            class_name=None if level else counts[0][0],
            votes={one.name: one.class_name for one in judgements},
            scores={dimension: float(median(scores)) for dimension, scores in given.items()},
            notes=tuple(f"{one.name}: {one.note}" for one in judgements if one.note),
        )


@dataclass(frozen=True)
class People:
    """All that people have judged of one filter.

    Attributes:
        latest: (text key, name) -> that person's last judgement.
        revised: judgements that replaced another class or scores of the same person, by then shown
            what the oracle had said.
        problems: lines that could not be used, each with its number and reason.
    """

    latest: Mapping[tuple[str, str], Judgement] = field(default_factory=dict)
    revised: frozenset[tuple[str, str]] = frozenset()
    problems: tuple[str, ...] = ()

    @cached_property
    def judged(self) -> dict[str, Consensus]:
        """Text key -> consensus."""
        by_text: dict[str, list[Judgement]] = {}
        for judgement in self.latest.values():
            by_text.setdefault(judgement.text_key, []).append(judgement)
        return {key: Consensus.of(some) for key, some in by_text.items()}

    @cached_property
    def classes(self) -> dict[str, SampleClass]:
        """Text key -> class, where people agree on one."""
        found = self.judged.values()
        return {one.key: one.class_name for one in found if one.class_name is not None}

    def by(self, name: str) -> dict[str, Judgement]:
        """Text key -> one person's last judgement."""
        return {key: one for (key, who), one in self.latest.items() if who == name}

    def classes_sha256(self, keys: Iterable[str]) -> str:
        """Hash of the classes that people gave to these texts, as a report's evidence."""
        classes = self.classes
        return sha256_json(sorted([key, classes[key]] for key in set(keys) & set(classes)))


NOBODY = People()


def read_people(folder: Path) -> People:
    """The judgements beside a filter's reports; nobody's where there is no file.

    Raises:
        UserError: the file is there and cannot be read at all.
    """
    path = folder / JUDGEMENTS_FILE
    if not path.exists():
        return NOBODY
    latest: dict[tuple[str, str], Judgement] = {}
    revised: set[tuple[str, str]] = set()
    problems: list[str] = []
    for line in read_lines(path):
        try:
            judgement = _parsed(line)
        except ValueError as error:
            problems.append(f"{path.name}:{line.number}: {error}")
            continue
        whose = (judgement.text_key, judgement.name)
        before = latest.pop(whose, None)
        if before is not None and _differ(before, judgement):
            revised.add(whose)
        latest[whose] = judgement
    return People(latest, frozenset(revised), tuple(problems))


def append(folder: Path, judgements: Sequence[Judgement]) -> Path:
    """Write judgements to the end of the file and through to the disk.

    A line that a killed process left half is ended first, so that it spoils nothing after it.
    """
    path = folder / JUDGEMENTS_FILE
    if not judgements:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(json.dumps(one.row(), ensure_ascii=False) + "\n" for one in judgements)
    with path.open("ab+") as handle:
        if handle.tell():
            handle.seek(-1, os.SEEK_END)
            rows = rows if handle.read(1) == b"\n" else f"\n{rows}"
        handle.write(rows.encode("utf-8", "replace"))
        handle.flush()
        os.fsync(handle.fileno())
    return path


def disagreements(people: People) -> list[Consensus]:
    """Texts that two people gave different classes, level ones first."""
    found = [one for one in people.judged.values() if not one.unanimous]
    return sorted(found, key=lambda one: (one.class_name is not None, one.id))


def problems_of(error: ValidationError) -> str:
    """What is wrong with a row, all of it on one line."""
    return "; ".join(_complaints(error))


def known_class(word: str) -> SampleClass | None:
    """A class as people write it: `on topic`, `On-topic`, `on_topic`; None for another word."""
    plain = word.strip().casefold().replace("-", "_").replace(" ", "_")
    return next((name for name in CLASSES if name == plain), None)


def valid_name(name: str) -> str:
    """A name as it may stand in a judgement.

    Raises:
        UserError: it is empty, too long or more than a line.
    """
    stripped = name.strip()
    if not stripped or len(stripped) > MAX_NAME or not stripped.isprintable():
        raise UserError(
            f"a name is one line of 1 to {MAX_NAME} characters",
            where="--name",
            hint="--name NAME, as reports shall show it",
        )
    return stripped


def _parsed(line: Line) -> Judgement:
    try:
        return Judgement.model_validate(parse_line(line))
    except ValidationError as error:
        raise ValueError(problems_of(error)) from None


def _complaints(error: ValidationError) -> Iterator[str]:
    for one in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in one["loc"])
        yield f"{where}: {one['msg'].removeprefix('Value error, ')}"


def _differ(one: Judgement, other: Judgement) -> bool:
    return (one.class_name, one.scores) != (other.class_name, other.scores)
