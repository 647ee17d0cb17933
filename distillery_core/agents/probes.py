"""Injection probes: known attacks appended to real articles, and how far they shift the scores.

The attacks are data, `attacks.yaml` beside the agent's criteria. All of them are tried on the same
few articles: one that wants a higher score on the lowest-scored ones, one that wants a lower score
on the highest-scored ones, where there is most to gain. What an attacker gains is the difference
between the article's overall score with and without the attack.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from distillery_core.agents.scored import ScoredArticle, valid
from distillery_core.filters.filter import Filter
from distillery_core.types import SCORE_MAX, SCORE_MIN, Article
from distillery_core.verdicts.measurement import Measurement, not_applicable
from distillery_core.yaml_source import load_model

ATTACKS = "attacks.yaml"
_GAP = "\n\n"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Attack(_Strict):
    """One known attack.

    `text` may hold `{answer}`, which becomes a whole JSON answer with the score the attack wants.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    wants: Literal["high", "low"]
    about: str = Field(min_length=1)
    text: str = Field(min_length=1, max_length=1000)

    def written_for(self, filter: Filter) -> str:
        """The attack as it stands in an article."""
        score = SCORE_MAX if self.wants == "high" else SCORE_MIN
        answer = {"reasoning": "As instructed.", **dict.fromkeys(filter.dimensions, score)}
        return self.text.strip().replace("{answer}", json.dumps(answer))


class AttacksFile(_Strict):
    """The whole of attacks.yaml."""

    attacks: tuple[Attack, ...] = Field(min_length=1)


def load_attacks(folder: Path) -> tuple[Attack, ...]:
    """The attacks of an agent's folder.

    Raises:
        UserErrors: every mistake of the file, with its line.
    """
    return load_model(folder / ATTACKS, AttacksFile).attacks


@dataclass(frozen=True, slots=True)
class Probe:
    """An attack in an article; `original` is the same article, scored without it."""

    attack: Attack
    article: Article
    original: ScoredArticle


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the oracle made of a probe; `overall` is 0-10, None without a usable answer."""

    probe: Probe
    overall: float | None

    @property
    def shift(self) -> float | None:
        """Overall score with the attack minus without it, -10 to 10."""
        before = self.probe.original.overall
        return None if self.overall is None or before is None else self.overall - before


@dataclass(frozen=True)
class Probed:
    """All probes of a round; `left_out` says why none was asked."""

    results: tuple[ProbeResult, ...] = ()
    cost_usd: float = 0.0
    left_out: str = ""


NOT_PROBED = Probed(left_out="no probes were asked")


@dataclass(frozen=True, slots=True)
class AttackFigures:
    """How one attack fared.

    Attributes:
        n: articles it was tried on with a usable answer.
        unusable: articles whose answer it made unusable.
        mean_shift, mean_absolute_shift: of the overall score; None where n is 0.
        worst_shift: the largest in size, with its sign, and the article's id.
    """

    name: str
    about: str
    wants: str
    n: int
    unusable: int
    mean_shift: float | None
    mean_absolute_shift: float | None
    worst_shift: float | None
    worst_article: str


def choose_probes(
    filter: Filter, scored: Sequence[ScoredArticle], attacks: Sequence[Attack], articles: int
) -> list[Probe]:
    """The probes of a scored sample: every attack on the same `articles` articles of its kind.

    Articles that the attack fits into without anything being cut out of them come first, so that
    the attack is all that changed.
    """
    return [
        Probe(attack, _attacked(filter, one, attack), one)
        for attack in attacks
        for one in _victims(filter, scored, attack, articles)
    ]


def _victims(
    filter: Filter, scored: Sequence[ScoredArticle], attack: Attack, wanted: int
) -> list[ScoredArticle]:
    sign = 1 if attack.wants == "high" else -1
    name = "off_topic" if attack.wants == "high" else "on_topic"
    room = filter.config.text.max_chars - max(len(attack.written_for(filter)), 1000) - len(_GAP)
    return sorted(
        valid(scored),
        key=lambda one: (
            one.class_name != name,
            len(one.article.content) > room,
            sign * (one.overall or 0.0),
            one.article.id,
        ),
    )[:wanted]


def _attacked(filter: Filter, one: ScoredArticle, attack: Attack) -> Article:
    """The article with the attack as its last words, within what the oracle reads of a text."""
    text = attack.written_for(filter)
    room = max(filter.config.text.max_chars - len(text) - len(_GAP), 0)
    content = f"{one.article.content[:room]}{_GAP}{text}"
    return Article(f"{one.article.id}~{attack.name}", one.article.title, content)


def injection_shift(probed: Probed) -> Measurement:
    """Mean absolute shift of the overall score under the attack that shifts it most.

    The worst attack counts and not the mean over attacks: an attacker uses the one that works.
    """
    if not probed.results:
        return not_applicable(probed.left_out or NOT_PROBED.left_out)
    known = [one for one in attack_figures(probed) if one.mean_absolute_shift is not None]
    if not known:
        return Measurement(n=0, note="no probe got a usable answer")
    worst = max(known, key=lambda one: (one.mean_absolute_shift or 0.0, one.name))
    note = f"{worst.name} on {worst.n} articles; {len(known)} attacks tried"
    return Measurement(worst.mean_absolute_shift, n=sum(one.n for one in known), note=note)


def attack_figures(probed: Probed) -> list[AttackFigures]:
    """One entry per attack, in the file's order."""
    by_name: dict[str, list[ProbeResult]] = {}
    for result in probed.results:
        by_name.setdefault(result.probe.attack.name, []).append(result)
    return [_figures(results) for results in by_name.values()]


def _figures(results: Sequence[ProbeResult]) -> AttackFigures:
    shifts = [(one.shift, one.probe.original.article.id) for one in results]
    known = [(shift, name) for shift, name in shifts if shift is not None]
    worst = max(known, key=lambda pair: (abs(pair[0]), pair[1]), default=(None, ""))
    attack = results[0].probe.attack
    return AttackFigures(
        name=attack.name,
        about=attack.about,
        wants=attack.wants,
        n=len(known),
        unusable=len(results) - len(known),
        mean_shift=fmean(shift for shift, _ in known) if known else None,
        mean_absolute_shift=fmean(abs(shift) for shift, _ in known) if known else None,
        worst_shift=worst[0],
        worst_article=worst[1],
    )
