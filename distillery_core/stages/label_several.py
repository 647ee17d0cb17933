"""Label a batch with several answers an article, and report how far the answers agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distillery_core.dataset.rejects import MAX_BAD
from distillery_core.errors import UserError
from distillery_core.filters import Filter
from distillery_core.labelling.projection import Projection, project_cost
from distillery_core.labelling.run import LabelSettings, occasion_of
from distillery_core.labelling.several import Pass, label_several, passes_of
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.prices import price_of
from distillery_core.stages.agreement import report_on_labels
from distillery_core.stages.label import (
    LabelResult,
    canary_settings,
    default_output,
    purpose_of,
    require_gate,
    usable_articles,
)
from distillery_core.stages.oracles import choose_oracle, recording_folder
from distillery_core.stages.project import Project
from distillery_core.types import Progress, silent

MOST_REPEATS = 20


@dataclass(frozen=True, slots=True)
class SeveralResult(LabelResult):
    """As a labelling run's, with the agreement report; None where there was nothing to compare."""

    agreement: Path | None = None


def require_gates(
    project: Project, filter: Filter, input: Path, oracles: Sequence[str] = ()
) -> bool:
    """See that every oracle may label a file; returns whether it is a sample, which all may.

    Raises:
        GateClosed: one of the oracles has not passed calibration and validation.
    """
    as_sample = False
    for name in oracles or (None,):
        as_sample = require_gate(project, filter, input, name)
    return as_sample


def label_with_several(
    project: Project,
    filter: Filter,
    *,
    input: Path,
    oracles: Sequence[str] = (),
    repeats: int = 1,
    output: Path | None = None,
    budget: float | None = None,
    limit: int | None = None,
    concurrency: int | None = None,
    max_bad: float = MAX_BAD,
    more_samples: bool = False,
    retry_failed: bool = False,
    accept_fingerprint: bool = False,
    canaries: int | None = None,
    progress: Progress = silent,
) -> SeveralResult:
    """Label a file of articles with every oracle, each `repeats` times.

    One label an article, by the median or mean that the filter's config names; what each oracle
    said stands in its provenance, and `<output>.agreement.md` beside the labels says how far the
    answers agree.

    Args:
        oracles: names; default the filter's own.
        budget: hard cap in USD on what the ledger shows for this filter, all oracles together.
        canaries: as in `label.label`, for each oracle and repeat.

    Raises:
        GateClosed: as `require_gates`.
        UserError, CheckFailed: as `labelling.label_file`.
    """
    passes = _passes(project, filter, oracles, repeats)
    as_sample = require_gates(project, filter, input, oracles)
    purpose = purpose_of(project, filter, input, as_sample, more_samples)
    target = output or default_output(project, filter, input, as_sample)
    settings = LabelSettings(
        concurrency=concurrency,
        budget_usd=budget,
        limit=limit,
        retry_failed=retry_failed,
        accept_fingerprint=accept_fingerprint,
        purpose=purpose,
        canaries=canary_settings(filter, canaries),
    )
    summary = label_several(
        filter,
        input,
        target,
        passes=passes,
        aggregate=filter.config.oracle.aggregate,
        project=project.root,
        settings=settings,
        max_bad=max_bad,
        recording_folder=recording_folder(filter),
        progress=progress,
    )
    report = report_on_labels(target, filter)
    return SeveralResult(target, summary, agreement=report[0] if report else None)


def several_projection(
    project: Project,
    filter: Filter,
    input: Path,
    oracles: Sequence[str] = (),
    repeats: int = 1,
) -> Projection:
    """What all passes will cost together, before anything is asked.

    Raises:
        UserError: an oracle's price is not known, or the file cannot be used.
    """
    count = sum(1 for _ in usable_articles(input))
    passes = _passes(project, filter, oracles, repeats)

    def cost(one: Pass, ledger: Ledger | None) -> Projection:
        return project_cost(
            *(filter, usable_articles(input), count, one.spec, ledger),
            occasion=occasion_of(one.repeat),
            recording_folder=recording_folder(filter),
        )

    if not project.ledger.exists():
        return _sum([cost(one, None) for one in passes])
    with Ledger.open(project.ledger) as ledger:
        return _sum([cost(one, ledger) for one in passes])


def _passes(project: Project, filter: Filter, oracles: Sequence[str], repeats: int) -> list[Pass]:
    """The passes, every price known before the first call.

    Raises:
        UserError: an unknown or doubled oracle, too many repeats.
    """
    doubled = sorted({name for name in oracles if list(oracles).count(name) > 1})
    if doubled:
        hint = "ask the same oracle several times with --repeats"
        raise UserError(f"oracles named twice: {', '.join(doubled)}", hint=hint)
    if not 1 <= repeats <= MOST_REPEATS:
        raise UserError(f"{repeats} repeats: from 1 to {MOST_REPEATS} are possible")
    specs = [choose_oracle(project, filter, name) for name in oracles or (None,)]
    for spec in specs:
        price_of(spec)
    return passes_of(specs, repeats)


def _sum(each: Sequence[Projection]) -> Projection:
    """All calls; the money is that of the paid ones, where there are some."""
    paid = any(one.paid for one in each)
    counted = [one for one in each if one.paid is paid]
    return replace(
        each[0],
        to_ask=sum(one.to_ask for one in each),
        low_usd=sum(one.low_usd for one in counted),
        high_usd=sum(one.high_usd for one in counted),
        paid=paid,
        basis="; ".join(dict.fromkeys(one.basis for one in each)),
    )
