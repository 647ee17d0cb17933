"""`calibration_rounds.jsonl`: every scored round of a filter, so that no result is forgotten.

It lies beside the reports. Each line is one scored sample: what it was asked with, its seed and
counts, and an observation per article. From it follow

- the pool: all samples scored with one prompt, oracle and text view are judged together, so that
  seeds cannot be shopped;
- what a validation sample must not share: every article that an earlier round has seen;
- which validation samples are spent: one whose result was followed by a change of the prompt counts
  as calibration from then on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from distillery_core.agents.observations import Observation
from distillery_core.errors import UserError
from distillery_core.files import sha256_json, write_text
from distillery_core.filters.filter import Filter
from distillery_core.oracle.writer_lock import Locked, writer_lock

ROUNDS_FILE = "calibration_rounds.jsonl"
KEPT_ROUNDS = "calibration"
"""The folder beside the reports that keeps each round; the file's lock lies there too."""

_LOCK = ".rounds.lock"
_LOCK_WAIT_S = 60.0
TUNED_TOO_OFTEN = 3
"""More prompts than this tuned on one sample: it no longer tells how new articles would fare."""

RoundKind = Literal["calibration", "validation"]


@dataclass(frozen=True)
class Asked:
    """What decides an oracle's answers; samples are pooled only under one and the same."""

    prompt_sha256: str
    text_view_sha256: str
    dimensions_sha256: str
    oracle: str

    @classmethod
    def of(cls, filter: Filter, oracle: str) -> Asked:
        """As the filter asks now."""
        return cls(filter.prompt_sha256, filter.text_view_sha256, filter.dimensions_sha256, oracle)


@dataclass(frozen=True)
class Round:
    """One scored sample.

    Attributes:
        kind: what the round was run as.
        date: of its evidence (the last answer).
        cuts: on-topic and severe cut it was judged with.
        sample_sha256: identity of the sample: its texts and classes.
        asked_for: articles asked for per class.
        seen: an observation per drawn article.
        cost_usd: of its answers; what they would have cost where `paid` is False.
        rates: for a person who reads the file; nothing is decided from them.
    """

    kind: RoundKind
    date: str
    asked: Asked
    scoring_sha256: str
    cuts: tuple[float, float]
    seed: int
    sample_sha256: str
    asked_for: Mapping[str, int]
    classes_reviewed: bool
    seen: tuple[Observation, ...]
    cost_usd: float = 0.0
    paid: bool = True
    rates: Mapping[str, float] = field(default_factory=dict)

    @property
    def keys(self) -> set[str]:
        """The texts it has seen."""
        return {one.key for one in self.seen}

    def same_run(self, other: Round) -> bool:
        """Whether `other` is this very sample asked and cut the same way (a repeated run)."""
        mine = (self.kind, self.asked, self.cuts, self.sample_sha256)
        return mine == (other.kind, other.asked, other.cuts, other.sample_sha256)

    def to_row(self) -> dict[str, Any]:
        """As one line of the file."""
        return {
            "schema": 1,
            "round": self.kind,
            "date": self.date,
            **vars(self.asked),
            "scoring_sha256": self.scoring_sha256,
            "cuts": list(self.cuts),
            "seed": self.seed,
            "sample_sha256": self.sample_sha256,
            "asked": dict(self.asked_for),
            "classes_reviewed": self.classes_reviewed,
            "cost_usd": self.cost_usd,
            "paid": self.paid,
            "rates": dict(self.rates),
            "articles": [one.to_row() for one in self.seen],
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Round:
        """The inverse of `to_row` (KeyError, TypeError, ValueError: not such a row)."""
        if row["round"] not in ("calibration", "validation"):
            raise ValueError(f"no round {row['round']!r}")
        on_topic_at, severe_at = row["cuts"]
        names = ("prompt_sha256", "text_view_sha256", "dimensions_sha256", "oracle")
        return cls(
            kind=row["round"],
            date=str(row["date"]),
            asked=Asked(**{name: str(row[name]) for name in names}),
            scoring_sha256=str(row["scoring_sha256"]),
            cuts=(float(on_topic_at), float(severe_at)),
            seed=int(row["seed"]),
            sample_sha256=str(row["sample_sha256"]),
            asked_for={str(name): int(n) for name, n in row["asked"].items()},
            classes_reviewed=bool(row["classes_reviewed"]),
            seen=tuple(Observation.from_row(one) for one in row["articles"]),
            cost_usd=float(row["cost_usd"]),
            paid=bool(row["paid"]),
            rates={str(name): float(value) for name, value in row["rates"].items()},
        )


def sample_identity(seen: Iterable[Observation]) -> str:
    """Hash of a sample: its texts with their classes, in any order."""
    return sha256_json(sorted([one.key, one.class_name] for one in seen))


def read_rounds(folder: Path) -> list[Round]:
    """All rounds of a filter's folder, oldest first; none where there is no file.

    Raises:
        UserError: a line is damaged, with its number. Forgetting it could make a spent sample look
            fresh.
    """
    path = folder / ROUNDS_FILE
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [_parsed(line, path, number) for number, line in enumerate(lines, 1) if line.strip()]


def _parsed(line: str, path: Path, number: int) -> Round:
    try:
        return Round.from_row(json.loads(line))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"not a calibration round: {type(error).__name__} {error}",
            where=f"{path}:{number}",
            hint="restore the file from version control; without it rounds cannot be told apart",
        ) from None


@dataclass(frozen=True, slots=True)
class History:
    """All other rounds than the current one, spent validation samples counted as calibration."""

    before: tuple[Round, ...]
    after: tuple[Round, ...] = ()

    @property
    def others(self) -> tuple[Round, ...]:
        """Every other round (a repeated run stands at the place of its first one)."""
        return self.before + self.after

    @property
    def number(self) -> int:
        """Which round the current one is, counted from 1."""
        return len(self.before) + 1


def remember(folder: Path, current: Round) -> History:
    """Add a round to the file; a repeated run takes the place of its first one."""
    with _alone(folder):
        rounds = read_rounds(folder)
        at = _place(rounds, current)
        kept = [*rounds[:at], current, *rounds[at + 1 :]]
        _write(folder, kept)
    counted = as_they_count(kept, current.asked.prompt_sha256)
    return History(tuple(counted[:at]), tuple(counted[at + 1 :]))


def amend(folder: Path, current: Round) -> None:
    """Write a remembered round anew, with what became known after it was judged: its whole cost."""
    with _alone(folder):
        rounds = read_rounds(folder)
        at = max(n for n, one in enumerate(rounds) if one.same_run(current))
        if rounds[at] != current:
            _write(folder, [*rounds[:at], current, *rounds[at + 1 :]])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other process read and write the file meanwhile: its round would be lost.

    Raises:
        UserError: another process holds it for a minute, which only a stopped one does.
    """
    try:
        with writer_lock(folder / KEPT_ROUNDS / _LOCK, _LOCK_WAIT_S):
            yield
    except Locked:
        raise UserError(
            "another process is writing the calibration rounds",
            where=folder / ROUNDS_FILE,
            hint="run the same command again when it has ended; no answer is paid for twice",
        ) from None


def _write(folder: Path, rounds: Sequence[Round]) -> None:
    rows = [json.dumps(one.to_row(), ensure_ascii=False, sort_keys=True) for one in rounds]
    write_text(folder / ROUNDS_FILE, "\n".join(rows) + "\n")


def _place(rounds: Sequence[Round], current: Round) -> int:
    """Where a round goes: over its own first run, unless that is spent, else to the end."""
    counted = as_they_count(rounds, current.asked.prompt_sha256)
    for at, one in enumerate(counted):
        if one.same_run(current):
            return at
    return len(rounds)


def as_they_count(rounds: Sequence[Round], prompt_sha256: str) -> list[Round]:
    """The rounds with spent validation samples turned into calibration.

    A validation sample is spent when a later round, or the prompt that is about to be judged, has
    another prompt.
    """
    counted = []
    for at, one in enumerate(rounds):
        later = {other.asked.prompt_sha256 for other in rounds[at + 1 :]} | {prompt_sha256}
        spent = one.kind == "validation" and later != {one.asked.prompt_sha256}
        counted.append(replace(one, kind="calibration") if spent else one)
    return counted


def pool_of(rounds: Sequence[Round], kind: RoundKind, asked: Asked) -> list[Round]:
    """The samples of a kind that were asked the same way."""
    return [one for one in rounds if one.kind == kind and one.asked == asked]


def pool_identity(rounds: Iterable[Round]) -> str:
    """Hash of which samples are judged together, in any order; the gate compares it."""
    return sha256_json(sorted({one.sample_sha256 for one in rounds}))


def pooled(rounds: Sequence[Round]) -> list[Observation]:
    """All observations of a pool; a text that two samples share counts once, as scored last."""
    kept: list[Observation] = []
    for one in rounds:
        kept = [seen for seen in kept if seen.key not in one.keys] + list(one.seen)
    return kept


def tuned_prompts(rounds: Sequence[Round], current: Round) -> int:
    """How many different prompts the current sample was tuned with (validation is no tuning).

    A sample is the same as long as more than half of its texts are: single articles are replaced
    where the oracle gave no usable answer.
    """
    keys = current.keys
    return len(
        {
            one.asked.prompt_sha256
            for one in rounds
            if one.kind == "calibration" and 2 * len(keys & one.keys) > len(keys)
        }
    )
