"""What a labelling run will take, said before it starts: calls, tokens and money as a range."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.labelling.run import answer_form, question_of
from distillery_core.oracle.client import Usage
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_report import TokenMeans, answered_ids, token_means
from distillery_core.oracle.opening import RECORDING_FOLDER, open_oracle
from distillery_core.oracle.prices import cost_nano, price_of, to_dollars
from distillery_core.oracle.spec import OracleSpec, Price
from distillery_core.types import Article

SAMPLE = 200
"""Articles whose prompts are measured; their mean length is known to a few percent."""

_MEASURED_FROM = 20
_CHARS_PER_TOKEN = (5.0, 3.5)
_CHARS_PER_TOKEN_OF_OTHERS = (3.5, 1.5)
_CHARS_PER_TOKEN_OF_CJK = (1.8, 0.8)
"""The range over the tokenisers of today's large models: English prose lies near 4.5, Cyrillic,
Greek, Arabic or Hindi near 2.5, Chinese, Japanese and Korean near 1.2."""

_CJK = re.compile("[\u1100-\u11ff\u2e80-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
_OTHERS = re.compile("[\u0250-\u10ff\u1200-\u1dff\ufb50-\ufdff\ufe70-\ufeff]")


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
    occasion: str = "",
    recording_folder: Path | None = None,
) -> Projection:
    """Project the cost of labelling.

    Where the ledger holds answers of this prompt and model (20 or more), their mean cost is used,
    +-15 %; else this prompt is measured on 200 articles and its tokens are estimated from its
    scripts, with answers between bare scores and the output limit.

    Args:
        sample: articles of the job; those that this model has answered, asked in the same way, are
            not asked again. They are known by their ids, since rendering every prompt would take
            too long.
        articles: how many there are in all.
        occasion: of the questions, see `ItemKey`.
        recording_folder: as in `open_oracle`; by default `recording/` beside the filter.

    Raises:
        UserError: the oracle's price is not known.
    """
    price = price_of(spec)
    asked_as = (filter.prompt_sha256, spec.model)
    folder = recording_folder or filter.folder / RECORDING_FOLDER
    answered = set() if ledger is None else _answered(filter, spec, ledger, occasion, folder)
    spread, known = _spread(sample, articles, answered)
    to_ask = max(articles - known, 0)
    means = None if ledger is None else token_means(ledger, *asked_as)
    if means is not None and means.n >= _MEASURED_FROM:
        return _measured(means, articles, to_ask, price, spec.paid)
    return _guessed(filter, spread, articles, to_ask, price, spec.paid)


def _spread(
    articles: Iterable[Article], count: int, answered: set[str]
) -> tuple[list[Article], int]:
    """Articles from all parts of a corpus, which is often sorted, and how many are answered."""
    step = max(count // SAMPLE, 1)
    some: list[Article] = []
    known = 0
    for number, article in enumerate(articles):
        known += article.id in answered
        if number % step == 0 and len(some) < SAMPLE:
            some.append(article)
    return some, known


def _answered(
    filter: Filter, spec: OracleSpec, ledger: Ledger, occasion: str, recording_folder: Path
) -> set[str]:
    """Ids of articles that need no call: answered with the same address, temperature, limits."""
    asked_as = (filter.prompt_sha256, spec.model, occasion)
    if not answered_ids(ledger, *asked_as):
        return set()

    async def parameters() -> str:
        async with open_oracle(spec, recording_folder=recording_folder) as oracle:
            return answer_form(filter).parameters_sha256(oracle)

    try:
        return answered_ids(ledger, *asked_as, asyncio.run(parameters()))
    except UserError:
        # It cannot be asked (no key, say), which the run itself will tell: then what is projected
        # is a run that asks everything.
        return set()


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
    filter: Filter, some: Sequence[Article], articles: int, to_ask: int, price: Price, paid: bool
) -> Projection:
    questions = [question_of(filter, article) for article in some]
    each = [tokens_of(q.system + q.user) for q in questions] or [(0.0, 0.0)]
    few, many = (sum(numbers) / len(each) for numbers in zip(*each, strict=True))
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
        basis=f"guessed from the text of {len(questions)} prompts",
    )


def tokens_of(text: str) -> tuple[float, float]:
    """Tokens of a text with a sparing and with a lavish tokeniser, from its scripts."""
    cjk = len(_CJK.findall(text))
    others = len(_OTHERS.findall(text))
    rest = len(text) - cjk - others
    counted = (
        (rest, _CHARS_PER_TOKEN),
        (others, _CHARS_PER_TOKEN_OF_OTHERS),
        (cjk, _CHARS_PER_TOKEN_OF_CJK),
    )
    few, many = (sum(n / chars[end] for n, chars in counted) for end in (0, 1))
    return few, many


def _shortest_answer(filter: Filter) -> int:
    """Characters of an answer that holds nothing but one-digit scores."""
    return len(json.dumps(dict.fromkeys(filter.dimensions, 0)))


def limited(projection: Projection, limit: int | None) -> Projection:
    """The projection of a run that asks about at most `limit` articles."""
    if limit is None or limit >= projection.to_ask:
        return projection
    fewer = _scaled(projection, limit)
    return replace(fewer, articles=min(limit, projection.articles))


def _scaled(projection: Projection, calls: int) -> Projection:
    """The same price a call for another number of calls; unknown where there were none."""
    share = calls / projection.to_ask if projection.to_ask else 0.0
    low, high = projection.low_usd * share, projection.high_usd * share
    return replace(projection, to_ask=calls, low_usd=low, high_usd=high)
