"""Which observations a round is judged by, and what about its history weakens the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from distillery_core.agents.observations import Observation
from distillery_core.agents.rounds import (
    TUNED_TOO_OFTEN,
    Round,
    RoundKind,
    pool_of,
    pooled,
    tuned_prompts,
)
from distillery_core.dataset.duplicates import KnownTexts
from distillery_core.fence import normalised_key
from distillery_core.filters.filter import Filter
from distillery_core.filters.score_rules import overall


@dataclass(frozen=True)
class Pool:
    """The samples of one kind that are judged together.

    Attributes:
        rounds: the earlier ones, then (for its own kind) the current one.
        left_out: samples that belong here, but cannot be scored again by today's rules.
    """

    rounds: tuple[Round, ...]
    left_out: tuple[Round, ...] = ()

    @property
    def seen(self) -> list[Observation]:
        """All observations, each text once."""
        return pooled(self.rounds)

    @property
    def classes_reviewed(self) -> bool:
        """Whether the classes of all its samples were reviewed."""
        return all(one.classes_reviewed for one in self.rounds)


def pool_for(filter: Filter, kind: RoundKind, current: Round, others: Sequence[Round]) -> Pool:
    """The pool of a kind for the current prompt, text view, dimensions and oracle."""
    mine = [
        one
        for one in pool_of(others, kind, current.asked)
        if kind != current.kind or one.sample_sha256 != current.sample_sha256
    ]
    again = [(one, rescored(filter, one)) for one in mine]
    usable = [new for _, new in again if new is not None]
    left_out = [old for old, new in again if new is None]
    own = [current] if kind == current.kind else []
    return Pool((*usable, *own), tuple(left_out))


def rescored(filter: Filter, one: Round) -> Round | None:
    """A round with its overall scores by today's weights and rules.

    None where they changed since and some of them look at the text, which is not kept.
    """
    if one.scoring_sha256 == filter.scoring_sha256:
        return one
    if filter.config.scoring.caps or filter.config.scoring.penalties:
        return None
    return replace(one, seen=tuple(_rescored(filter, seen) for seen in one.seen))


def _rescored(filter: Filter, seen: Observation) -> Observation:
    if seen.scores is None:
        return seen
    scores = dict(zip(filter.dimensions, seen.scores, strict=True))
    return replace(seen, overall=overall(filter, scores, "").value)


def cautions(current: Round, others: Sequence[Round], pool: Pool) -> list[str]:
    """What lowers a verdict to REVIEW whatever the numbers say."""
    found = []
    keys = current.keys
    moved = sorted({one.cuts for one in others if one.cuts != current.cuts and keys & one.keys})
    if moved:
        before = " and ".join(f"{low:g}/{high:g}" for low, high in moved)
        found.append(
            f"the cuts were {before} when these articles were first scored, now they are"
            f" {current.cuts[0]:g}/{current.cuts[1]:g}: cuts are fixed before the first round,"
            " so draw a new sample"
        )
    if pool.left_out:
        seeds = ", ".join(str(one.seed) for one in pool.left_out)
        found.append(
            f"the sample of seed {seeds} belongs to the pool, but was judged by other score rules:"
            " judge it again (its answers are stored, nothing is paid)"
        )
    return found


def warnings(current: Round, others: Sequence[Round]) -> list[str]:
    """What a reader should know, without changing the verdict."""
    prompts = tuned_prompts([*others, current], current)
    if prompts <= TUNED_TOO_OFTEN:
        return []
    return [
        f"this sample has been tuned with {prompts} prompts: it tells less and less about new"
        " articles, so draw another seed"
    ]


def _validates_another_model(one: Round, current: Round) -> bool:
    """Same prompt, another model. The same model under another name or asked in another way is not
    meant: that may be a second try after the first one's result."""
    unfitted = one.kind == "validation" and replace(one.asked, oracle="") == replace(
        current.asked, oracle=""
    )
    return unfitted and _model(one.asked.oracle) != _model(current.asked.oracle)


def _model(identity: str) -> str:
    """The model in an oracle's identity, `name/model (how it is asked)`."""
    return identity.partition("/")[2].rpartition(" (")[0]


@dataclass(frozen=True)
class Shared:
    """What a validation sample has in common with earlier rounds."""

    count: int
    note: str


def shared_with_earlier(
    current: Round,
    others: Sequence[Round],
    contents: Sequence[str],
    earlier_contents: Sequence[str],
) -> Shared:
    """Articles that an earlier round has seen, identical or nearly so.

    Args:
        others: all other rounds; samples of the validation pool itself are no earlier round, nor
            are those on which another model was validated with this very prompt: nothing has been
            fitted to them.
        contents: the sample's texts.
        earlier_contents: texts of earlier samples as far as they are at hand. Those no round has
            seen are ignored; a seen text that is not at hand is compared by identity only.
    """
    pool = pool_of(others, "validation", current.asked)
    pool += [one for one in others if _validates_another_model(one, current)]
    own = [one for one in pool if one.cuts == current.cuts]
    earlier: set[str] = set()
    for one in others:
        if one not in own:
            earlier |= one.keys
    at_hand = {normalised_key(text): text for text in earlier_contents}
    known = KnownTexts(at_hand[key] for key in sorted(earlier & set(at_hand)))
    count = sum(normalised_key(text) in earlier or text in known for text in contents)
    note = f"compared with {len(earlier)} texts of earlier rounds"
    missing = len(earlier - set(at_hand))
    return Shared(count, f"{note}, {missing} of them by identity only" if missing else note)
