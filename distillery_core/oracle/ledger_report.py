"""Sums and listings of a ledger: what was spent on a filter, how its questions stand."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.prices import to_dollars


@dataclass(frozen=True, slots=True)
class Money:
    """What the ledger shows for a filter, in USD.

    `spent_usd` was charged; `would_have_cost_usd` is the price of recorded answers, nothing of
    which was paid. `held_usd` may have been charged: calls in flight, interrupted, or whose reply
    was cut or came without token counts, each at its worst case (paid oracles only).
    """

    spent_usd: float = 0.0
    would_have_cost_usd: float = 0.0
    held_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Activity:
    """Calls and tokens of a filter, or of one run of it."""

    attempts: int = 0
    answered: int = 0
    failed: int = 0
    interrupted: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0
    fingerprints: tuple[str, ...] = ()

    def __add__(self, other: Activity) -> Activity:
        """Both together: counts and money added, the fingerprints of either."""
        mine, theirs = asdict(self), asdict(other)
        prints = tuple(sorted({*mine.pop("fingerprints"), *theirs.pop("fingerprints")}))
        return Activity(**{name: mine[name] + theirs[name] for name in mine}, fingerprints=prints)


@dataclass(frozen=True, slots=True)
class TokenMeans:
    """Measured means of one prompt with one model; n is the number of answers measured."""

    n: int
    input_tokens: float
    output_tokens: float
    cost_usd: float


def money(ledger: Ledger, filter: str | None = None) -> Money:
    """Money of one filter (`crisis:v1`), or of the whole ledger."""
    rows = ledger.connection.execute(
        "SELECT paid, sum(cost_nano) AS cost, sum(held_nano) AS held FROM totals"
        " WHERE ?1 IS NULL OR filter = ?1 GROUP BY paid",
        (filter,),
    )
    sums = {bool(row["paid"]): row for row in rows}
    return Money(
        spent_usd=_dollars(sums.get(True), "cost"),
        would_have_cost_usd=_dollars(sums.get(False), "cost"),
        held_usd=_dollars(sums.get(True), "held"),
    )


def activity(ledger: Ledger, filter: str, run_id: int | None = None) -> Activity:
    """Calls and tokens of a filter, over all runs or one."""
    values = (filter, run_id)
    row = ledger.connection.execute(
        "SELECT count(*) AS attempts,"
        " count(*) FILTER (WHERE state = 'answered') AS answered,"
        " count(*) FILTER (WHERE state = 'failed') AS failed,"
        " count(*) FILTER (WHERE state = 'interrupted') AS interrupted,"
        " coalesce(sum(input_tokens), 0) AS input_tokens,"
        " coalesce(sum(cached_tokens), 0) AS cached_tokens,"
        " coalesce(sum(output_tokens), 0) AS output_tokens,"
        " coalesce(sum(reasoning_tokens), 0) AS reasoning_tokens,"
        " coalesce(sum(cost_nano), 0) AS cost"
        " FROM attempts WHERE filter = ?1 AND (?2 IS NULL OR run_id = ?2)",
        values,
    ).fetchone()
    prints = ledger.connection.execute(
        "SELECT DISTINCT fingerprint FROM attempts WHERE filter = ?1"
        " AND (?2 IS NULL OR run_id = ?2) AND fingerprint != '' ORDER BY 1",
        values,
    )
    numbers = {name: row[name] for name in row.keys() if name != "cost"}  # noqa: SIM118
    return Activity(
        **numbers, cost_usd=to_dollars(row["cost"]), fingerprints=tuple(p[0] for p in prints)
    )


def counts(ledger: Ledger, filter: str, prompt_sha256: str | None = None) -> dict[str, int]:
    """Questions per state of a filter, over all prompts or one."""
    rows = ledger.connection.execute(
        "SELECT state, count(*) FROM items WHERE filter = ?1"
        " AND (?2 IS NULL OR prompt_sha256 = ?2) GROUP BY state",
        (filter, prompt_sha256),
    )
    return dict(tuple(row) for row in rows)


def articles_asked(ledger: Ledger, filter: str, purpose: str = "sample") -> set[str]:
    """Identities of the texts that were asked about for a purpose, over all prompts."""
    rows = ledger.connection.execute(
        "SELECT DISTINCT article_sha256 FROM items"
        " WHERE filter = ? AND purpose = ? AND state != 'skipped'",
        (filter, purpose),
    )
    return {row[0] for row in rows}


def answered_ids(
    ledger: Ledger,
    prompt_sha256: str,
    model: str,
    occasion: str = "",
    parameters_sha256: str | None = None,
) -> set[str]:
    """Ids of the articles that this model has answered under this prompt, usably or not, on an
    occasion (`ItemKey`); with any parameters, or with these."""
    rows = ledger.connection.execute(
        "SELECT DISTINCT article_id FROM items WHERE prompt_sha256 = ?1 AND model = ?2"
        " AND occasion = ?3 AND (?4 IS NULL OR parameters_sha256 = ?4)"
        " AND state IN ('done', 'rejected')",
        (prompt_sha256, model, occasion, parameters_sha256),
    )
    return {row[0] for row in rows}


def token_means(ledger: Ledger, prompt_sha256: str, model: str) -> TokenMeans | None:
    """What answers of this prompt and model took so far, or None when there are none.

    The cost is that of calls; answers of a batch, which are cheaper, only count as tokens.
    """
    row = ledger.connection.execute(
        "SELECT count(*), avg(a.input_tokens), avg(a.output_tokens),"
        " avg(a.cost_nano) FILTER (WHERE a.id NOT IN (SELECT attempt_id FROM batch_requests))"
        " FROM items i JOIN attempts a ON a.item_key = i.key"
        " WHERE i.prompt_sha256 = ? AND i.model = ? AND a.input_tokens IS NOT NULL",
        (prompt_sha256, model),
    ).fetchone()
    return TokenMeans(row[0], row[1], row[2], to_dollars(row[3] or 0)) if row[0] else None


def mean_latency_s(ledger: Ledger, prompt_sha256: str, model: str) -> float | None:
    """Seconds from question to answer, the mean over this prompt's answers by this model; None
    where none was measured."""
    row = ledger.connection.execute(
        "SELECT avg(a.latency_s) FROM items i JOIN attempts a ON a.item_key = i.key"
        " WHERE i.prompt_sha256 = ? AND i.model = ? AND a.latency_s IS NOT NULL",
        (prompt_sha256, model),
    ).fetchone()
    return None if row[0] is None else float(row[0])


def export_items(ledger: Ledger, filter: str | None = None) -> Iterator[dict[str, Any]]:
    """Every question with its attempts, oldest first, as JSON objects."""
    items = ledger.connection.execute(
        "SELECT * FROM items WHERE ?1 IS NULL OR filter = ?1 ORDER BY created_at, key", (filter,)
    )
    for item in items:
        attempts = ledger.connection.execute(
            "SELECT a.*, b.batch_key FROM attempts a"
            " LEFT JOIN batch_requests b ON b.attempt_id = a.id WHERE item_key = ? ORDER BY id",
            (item["key"],),
        )
        row = _plain(item)
        row["answer"] = None if row["answer"] is None else json.loads(row["answer"])
        yield row | {"attempts": [_plain(attempt) for attempt in attempts]}


def _plain(row: sqlite3.Row) -> dict[str, Any]:
    """A row with money in USD."""
    plain = dict(row)
    for name in [name for name in plain if name.endswith("_nano")]:
        plain[name.removesuffix("_nano") + "_usd"] = to_dollars(plain.pop(name))
    return plain


def _dollars(row: sqlite3.Row | None, name: str) -> float:
    return 0.0 if row is None else to_dollars(row[name])
