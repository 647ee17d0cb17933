"""What a labelling run will take, said before it starts: calls, tokens and money as a range."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from distillery_core.filters.filter import Filter
from distillery_core.labelling.run import question_of
from distillery_core.oracle.client import Usage
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_report import TokenMeans, answered_ids, token_means
from distillery_core.oracle.prices import cost_nano, price_of, to_dollars
from distillery_core.oracle.spec import OracleSpec, Price
from distillery_core.types import Article

SAMPLE = 200
"""Articles whose prompts are measured; their mean length is known to a few percent."""

_MEASURED_FROM = 20
_CHARS_PER_TOKEN = (5.0, 2.5)
"""English prose lies near 4.5, Chinese and code below 3: the range of the guess."""


@dataclass(frozen=True, slots=True)
class Projection:
    """A projected run. `to_ask` is the number of calls if each succeeds at once.

    `low_usd` and `high_usd` enclose what is to be expected; the worst case is held by --budget.
    """

    articles: int
    to_ask: int
    input_tokens: float
    output_tokens: float
    low_usd: float
    high_usd: float
    paid: bool
    basis: str

    def line(self) -> str:
        """The projection in words."""
        verb = "will cost" if self.paid else "would cost, but is recorded: nothing is paid"
        return (
            f"{self.to_ask} calls, {verb}: ${self.low_usd:.2f}-${self.high_usd:.2f} ({self.basis})"
        )


def project_cost(
    filter: Filter,
    sample: Iterable[Article],
    articles: int,
    spec: OracleSpec,
    ledger: Ledger | None = None,
) -> Projection:
    """Project the cost of labelling.

    Where the ledger holds answers of this prompt and model (20 or more), their mean cost is used,
    +-15 %; else the prompt's length is measured on the first 200 articles and tokens are guessed
    from characters, with answers between bare scores and the output limit.

    Args:
        sample: articles of the job; those that this model has answered are not asked again. They
            are known by their ids, since rendering every prompt would take too long.
        articles: how many there are in all.

    Raises:
        UserError: the oracle's price is not known.
    """
    price = price_of(spec)
    asked_as = (filter.prompt_sha256, spec.model)
    answered = set() if ledger is None else answered_ids(ledger, *asked_as)
    stream = iter(sample)
    first = list(islice(stream, SAMPLE))
    rest = stream if answered else ()
    to_ask = max(articles - sum(one.id in answered for one in chain(first, rest)), 0)
    means = None if ledger is None else token_means(ledger, *asked_as)
    if means is not None and means.n >= _MEASURED_FROM:
        return _measured(means, articles, to_ask, price, spec.paid)
    return _guessed(filter, first, articles, to_ask, price, spec.paid)


def _measured(
    means: TokenMeans, articles: int, to_ask: int, price: Price, paid: bool
) -> Projection:
    usage = Usage(round(means.input_tokens), round(means.output_tokens))
    # The mean cost knows of cached input; today's price is only used where nothing was charged.
    each = means.cost_usd or to_dollars(cost_nano(price, usage))
    basis = f"measured on {means.n} answers of this prompt"
    low, high = each * to_ask * 0.85, each * to_ask * 1.15
    return Projection(
        articles, to_ask, means.input_tokens, means.output_tokens, low, high, paid, basis
    )


def _guessed(
    filter: Filter, first: Sequence[Article], articles: int, to_ask: int, price: Price, paid: bool
) -> Projection:
    questions = [question_of(filter, article) for article in first]
    characters = sum(len(q.system) + len(q.user) for q in questions) / max(len(questions), 1)
    few, many = (characters / chars for chars in _CHARS_PER_TOKEN)
    shortest = _shortest_answer(filter) / _CHARS_PER_TOKEN[0]
    longest = filter.config.oracle.max_output_tokens
    low = cost_nano(price, Usage(round(few), round(min(shortest, longest))))
    high = cost_nano(price, Usage(round(many), longest))
    return Projection(
        articles=articles,
        to_ask=to_ask,
        input_tokens=(few + many) / 2,
        output_tokens=(shortest + longest) / 2,
        low_usd=to_dollars(low) * to_ask,
        high_usd=to_dollars(high) * to_ask,
        paid=paid,
        basis=f"guessed from the length of {len(questions)} prompts",
    )


def _shortest_answer(filter: Filter) -> int:
    """Characters of an answer that holds nothing but one-digit scores."""
    return len(json.dumps(dict.fromkeys(filter.dimensions, 0)))


def limited(projection: Projection, limit: int | None) -> Projection:
    """The projection of a run that asks about at most `limit` articles."""
    if limit is None or limit >= projection.to_ask:
        return projection
    fewer = _scaled(projection, limit)
    return replace(fewer, articles=min(limit, projection.articles))


def with_calls(projection: Projection, further: int) -> Projection:
    """With further calls that cost about as much as the projected ones."""
    return _scaled(projection, projection.to_ask + further)


def _scaled(projection: Projection, calls: int) -> Projection:
    """The same price a call for another number of calls; unknown where there were none."""
    share = calls / projection.to_ask if projection.to_ask else 0.0
    low, high = projection.low_usd * share, projection.high_usd * share
    return replace(projection, to_ask=calls, low_usd=low, high_usd=high)
