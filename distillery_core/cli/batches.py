"""What `distillery label --provider-batch` and `--cancel-batches` do before labels are written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distillery_core.cli.console import only_json, print_json, say
from distillery_core.cli.money import confirm, usd
from distillery_core.cli.results import facts
from distillery_core.cli.work import work
from distillery_core.errors import UserError

if TYPE_CHECKING:
    from distillery_core.filters import Filter
    from distillery_core.labelling.provider_batch import BatchSummary
    from distillery_core.stages.project import Project


def by_batch(
    project: Project,
    filter: Filter,
    input: Path,
    *,
    oracle: str | None,
    budget: float | None,
    ask_above: float,
    yes: bool,
    limit: int | None,
    more_samples: bool,
    retry_failed: bool,
    wait: bool,
    json: bool,
) -> bool:
    """Submit, wait and collect; returns whether the run goes on to write labels.

    Raises:
        UserError: there is nobody to wait for (a replayed batch ends with its server).
    """
    from distillery_core.labelling.projection import limited
    from distillery_core.labelling.provider_batch import BatchSettings
    from distillery_core.stages.oracles import choose_oracle
    from distillery_core.stages.provider_batch import batch_projection, label_by_batch

    if not wait and choose_oracle(project, filter, oracle).recording is not None:
        hint = "leave out --no-wait; a replayed batch takes no time"
        raise UserError("recorded answers are replayed by this very process", hint=hint)
    projected = limited(batch_projection(project, filter, input, oracle), limit)
    confirm(projected, budget=budget, yes=yes, ask_above=ask_above)
    with only_json(json), work("batch") as task:
        summary = label_by_batch(
            project,
            filter,
            input=input,
            oracle=oracle,
            budget=budget,
            limit=limit,
            more_samples=more_samples,
            retry_failed=retry_failed,
            batch=BatchSettings(wait=wait),
            progress=task.progress,
            say=task.say,
        )
    if summary.under_way:
        _print(summary, json)
        return False
    if not json:
        _print(summary, json)
    return True


def cancel(project: Project, filter: Filter, *, oracle: str | None, json: bool) -> None:
    """End the filter's batches and say what they brought."""
    from distillery_core.stages.provider_batch import cancel_batches

    with only_json(json), work("cancel") as task:
        summary = cancel_batches(project, filter, oracle=oracle, say=task.say)
    _print(summary, json)


def _print(summary: BatchSummary, json: bool) -> None:
    if json:
        print_json(facts(summary))
        return
    if summary.submitted:
        say(f"submitted: {summary.submitted} requests in {summary.batches} batches")
    if summary.counts:
        brought = ", ".join(f"{count} {name}" for name, count in summary.counts.items())
        say(f"collected: {brought}; {_money(summary)}")
    if summary.unreadable:
        say(f"{summary.unreadable} lines of the results could not be read")
    if summary.under_way:
        say(f"under way: {', '.join(summary.under_way)}")
        say("the same command collects what is done; without --no-wait it waits and writes labels")


def _money(summary: BatchSummary) -> str:
    cost = usd(summary.cost_usd)
    return f"{cost} spent" if summary.paid else f"recorded, would have cost about {cost}"
