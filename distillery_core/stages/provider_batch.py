"""Label by provider batches, behind the same gate as any labelling: submit, take up, cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from distillery_core.filters import Filter
from distillery_core.labelling.projection import Projection
from distillery_core.labelling.provider_batch import (
    BatchSettings,
    BatchSummary,
    ProviderBatchRun,
)
from distillery_core.labelling.run import LabelSettings
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_job import open_job
from distillery_core.oracle.opening import open_oracle
from distillery_core.oracle.prices import batch_price_of, price_of
from distillery_core.oracle.spec import OracleSpec
from distillery_core.stages.label import (
    projection,
    purpose_of,
    require_gate,
    usable_articles,
)
from distillery_core.stages.oracles import choose_oracle, recording_folder
from distillery_core.stages.project import Project
from distillery_core.types import Article, Progress, silent


def label_by_batch(
    project: Project,
    filter: Filter,
    *,
    input: Path,
    oracle: str | None = None,
    budget: float | None = None,
    limit: int | None = None,
    more_samples: bool = False,
    retry_failed: bool = False,
    batch: BatchSettings | None = None,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda line: None,
) -> BatchSummary:
    """Ask about a file of articles by provider batches; the answers go into the ledger.

    The same call again takes up what an earlier one began. `label` afterwards writes the labels and
    asks synchronously about what the batches left.

    Args:
        budget: hard cap in USD on what the ledger shows for this filter, all runs together.

    Raises:
        GateClosed: the calibration or validation report does not let this file through.
        UserError, CheckFailed: as `ProviderBatchRun.run`.
    """
    as_sample = require_gate(project, filter, input, oracle)
    purpose = purpose_of(project, filter, input, as_sample, more_samples)
    settings = LabelSettings(budget_usd=budget, retry_failed=retry_failed, purpose=purpose)
    spec = choose_oracle(project, filter, oracle)

    def articles() -> Iterator[Article]:
        return islice(usable_articles(input), limit)

    async def run(batches: ProviderBatchRun) -> BatchSummary:
        return await batches.run(articles, progress)

    return _run(project, filter, spec, settings, batch or BatchSettings(), say, run)


def cancel_batches(
    project: Project,
    filter: Filter,
    *,
    oracle: str | None = None,
    batch: BatchSettings | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> BatchSummary:
    """End the filter's batches, and keep what was answered until then.

    Raises:
        UserError: the provider cannot be reached or used.
    """
    spec = choose_oracle(project, filter, oracle)
    settings = batch or BatchSettings()
    return _run(project, filter, spec, LabelSettings(), settings, say, ProviderBatchRun.cancel)


def batch_projection(
    project: Project, filter: Filter, input: Path, oracle: str | None = None
) -> Projection:
    """What labelling a file by batches will cost, if they answer all of it.

    Raises:
        UserError: what batches cost is not known, or the file cannot be used.
    """
    spec = choose_oracle(project, filter, oracle)
    batch_price_of(spec)
    share = 1 - (price_of(spec).batch_discount or 0.0)
    calls = projection(project, filter, input, oracle)
    basis = f"{calls.basis}; at the batch price, what batches leave is asked at the full one"
    low_usd, high_usd = calls.low_usd * share, calls.high_usd * share
    return replace(calls, low_usd=low_usd, high_usd=high_usd, basis=basis)


def _run(
    project: Project,
    filter: Filter,
    spec: OracleSpec,
    settings: LabelSettings,
    batch: BatchSettings,
    say: Callable[[str], None],
    what: Callable[[ProviderBatchRun], Awaitable[BatchSummary]],
) -> BatchSummary:
    """Open ledger, oracle and job, and do it."""

    async def run(ledger: Ledger) -> BatchSummary:
        async with open_oracle(spec, recording_folder=recording_folder(filter)) as oracle:
            asked_as = {"oracle": spec.name, "purpose": settings.purpose}
            with open_job(ledger, filter.label, paid=spec.paid, **asked_as) as job:
                folder = ledger.path.with_name("batches") / filter.slug
                batches = ProviderBatchRun(
                    *(filter, oracle, job, folder), settings=settings, batch=batch, say=say
                )
                return await what(batches)

    with Ledger.open(project.ledger) as ledger:
        return asyncio.run(run(ledger))
