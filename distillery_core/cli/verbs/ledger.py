"""`distillery ledger show|export`: what was asked, answered and paid."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery_core.cli.console import note, print_json, print_table
from distillery_core.cli.money import usd
from distillery_core.cli.options import JsonOption, chosen_filter, output_file
from distillery_core.cli.verb import family, verb
from distillery_core.errors import UserError

if TYPE_CHECKING:
    from distillery_core.oracle.ledger import Ledger

app = family("Show what was asked, answered and paid, or export every answer.")

OptionalFilter = Annotated[
    str | None,
    typer.Option("--filter", metavar="NAME[:vN]|PATH", help="Only this filter; default: all."),
]


@verb(app, "distillery ledger show", "distillery ledger show --filter uplifting --json")
def show(filter: OptionalFilter = None, json: JsonOption = False) -> None:
    """Show questions, calls, tokens and money of each filter."""
    with _ledger() as ledger:
        labels = _labels(ledger, filter)
        accounts = [_account(ledger, label) for label in labels]
    if json:
        print_json(accounts)
        return
    print_table(
        (
            *("filter", "done", "rejected", "failed", "skipped", "open", "calls", "interrupted"),
            *("tokens in", "cached", "out", "spent", "maybe charged", "note"),
        ),
        [_row(account) for account in accounts],
    )
    for batch in [one for account in accounts for one in account["batches_under_way"]]:
        where = f"{batch['batch_id'] or 'not sent yet'} at {batch['oracle']}"
        note(f"{batch['filter']}: {batch['requests']} questions wait in batch {where}")


@verb(app, "distillery ledger export --output answers.jsonl")
def export(
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="A JSONL file.")],
    filter: OptionalFilter = None,
    json: JsonOption = False,
) -> None:
    """Write every question with its answer and attempts, oldest first, one a line."""
    from distillery_core.files import atomic_write
    from distillery_core.oracle.ledger_report import export_items

    output_file(output)
    with _ledger() as ledger, atomic_write(output) as handle:
        count = 0
        for item in export_items(ledger, _label(filter) if filter else None):
            handle.write(jsonlib.dumps(item, ensure_ascii=False) + "\n")
            count += 1
    if json:
        print_json({"output": str(output), "questions": count})
        return
    note(f"{output}: {count} questions")


@contextmanager
def _ledger() -> Iterator[Ledger]:
    from distillery_core.oracle.ledger import Ledger
    from distillery_core.stages.project import open_project

    path = open_project().ledger
    if not path.is_file():
        raise UserError("no ledger: nothing has been asked yet", where=path)
    with Ledger.open(path) as ledger:
        yield ledger


def _label(reference: str) -> str:
    return chosen_filter(reference)[1].label


def _labels(ledger: Ledger, reference: str | None) -> list[str]:
    if reference:
        return [_label(reference)]
    rows = ledger.connection.execute("SELECT DISTINCT filter FROM items ORDER BY filter")
    return [row[0] for row in rows]


def _account(ledger: Ledger, label: str) -> dict[str, Any]:
    from distillery_core.oracle.ledger_batches import batches_under_way
    from distillery_core.oracle.ledger_report import activity, counts, money

    return {
        "filter": label,
        "questions": counts(ledger, label),
        "money": asdict(money(ledger, label)),
        "activity": asdict(activity(ledger, label)),
        "batches_under_way": [asdict(batch) for batch in batches_under_way(ledger, label)],
    }


def _row(account: dict[str, Any]) -> tuple[object, ...]:
    questions, money, calls = account["questions"], account["money"], account["activity"]
    recorded = money["would_have_cost_usd"]
    return (
        account["filter"],
        *(questions.get(state, 0) for state in ("done", "rejected", "failed", "skipped", "open")),
        *(calls["attempts"], calls["interrupted"]),
        *(calls["input_tokens"], calls["cached_tokens"], calls["output_tokens"]),
        *(usd(money["spent_usd"]), usd(money["held_usd"])),
        f"recorded, would have cost about {usd(recorded)}" if recorded else "",
    )
