"""What `distillery label` needs beside its flags: whom it asks, and how it tells the outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from distillery_core.cli.console import note, print_json, say
from distillery_core.cli.results import print_summary, summary_facts
from distillery_core.errors import UserError

if TYPE_CHECKING:
    from distillery_core.labelling.projection import Projection
    from distillery_core.stages.label import LabelResult
    from distillery_core.stages.project import Project


@dataclass(frozen=True, slots=True)
class OraclesAsked:
    """Who is asked: the functions of the stage for one oracle or for several answers."""

    require_gate: Callable[..., bool]
    projection: Callable[..., Projection]
    label: Callable[..., LabelResult]
    passes: int = 1

    def answers(self, articles: int, limit: int | None) -> int:
        """Answers that are wanted about so many articles, at most `limit`."""
        return (articles if limit is None else min(articles, limit)) * self.passes


def oracles_asked(oracle: str | None, oracles: str | None, repeats: int) -> OraclesAsked:
    """What `--oracle`, `--oracles` and `--repeats` mean together.

    Raises:
        UserError: both `--oracle` and `--oracles` are given.
    """
    from distillery_core.stages import label as single
    from distillery_core.stages import label_several as several

    if oracle is not None and oracles is not None:
        raise UserError("--oracle and --oracles are both given", hint="give one of them")
    if repeats == 1 and oracles is None:
        return OraclesAsked(
            partial(single.require_gate, oracle=oracle),
            partial(single.projection, oracle=oracle),
            partial(single.label, oracle=oracle),
        )
    given = oracles.split(",") if oracles else [oracle] if oracle else []
    names = [name.strip() for name in given if name.strip()]
    return OraclesAsked(
        partial(several.require_gates, oracles=names),
        partial(several.several_projection, oracles=names, repeats=repeats),
        partial(several.label_with_several, oracles=names, repeats=repeats),
        passes=max(len(names), 1) * repeats,
    )


@contextmanager
def told_when_stopped() -> Iterator[None]:
    """A run that a budget or stop rule ended has spent money too: say how much."""
    from distillery_core.labelling.run import LabellingStopped

    try:
        yield
    except LabellingStopped as stopped:
        note(stopped.summary.money_line())
        raise


def print_labels(project: Project, result: LabelResult, json: bool) -> None:
    """Where the labels lie, what they took, and what was set aside."""
    if json:
        print_json(_facts(result))
        return
    say(f"{project.relative(result.output)}: written")
    print_summary(result.summary)
    if agreement := getattr(result, "agreement", None):
        say(f"{project.relative(agreement)}: how far the answers agree")
    for path in (result.rejected, result.skipped):
        if path is not None:
            note(f"set aside: {project.relative(path)}")


def _facts(result: LabelResult) -> dict[str, object]:
    return {
        "output": str(result.output),
        "rejected": str(result.rejected) if result.rejected else None,
        "skipped": str(result.skipped) if result.skipped else None,
        "agreement": str(agreement) if (agreement := getattr(result, "agreement", None)) else None,
    } | summary_facts(result.summary)
