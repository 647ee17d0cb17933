"""What a call costs, in whole nano-dollars, and what it may cost at worst.

Money is counted in integers (1 nano-dollar = 1e-9 USD; a token of 0.075 USD per million is 75), so
that a million additions lose nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from distillery_core.errors import UserError
from distillery_core.oracle.client import OracleRequest, Usage
from distillery_core.oracle.spec import OracleSpec, Price
from distillery_core.yaml_source import load_model

NANO = 1_000_000_000
_PER_MILLION = NANO // 1_000_000
_FREE = Price(input=0, output=0, as_of=date.min, source="declared free in oracles.yaml")

# Chat templates wrap each message in a few special tokens; 64 a message is far above any known one.
_TEMPLATE_TOKENS = 64


class PriceTable(BaseModel):
    """The shipped prices.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: dict[str, Price]


@cache
def price_table() -> dict[str, Price]:
    """The shipped prices by model name."""
    return load_model(Path(__file__).with_name("prices.yaml"), PriceTable).models


def price_of(spec: OracleSpec) -> Price:
    """What an oracle charges: its own price, the table's, or nothing where it is declared free.

    Raises:
        UserError: the price is unknown; guessing 0 would spend money unseen.
    """
    if spec.free:
        return _FREE
    known = spec.price or price_table().get(spec.price_of or spec.model)
    if known is None:
        raise UserError(
            f"no price is known for {spec.price_of or spec.model!r}",
            where=f"oracle {spec.name!r}",
            hint="add `price: {input: .., output: .., as_of: YYYY-MM-DD}` (USD per million tokens)"
            " to its entry in oracles.yaml, or `free: true` if it costs nothing",
        )
    return known


def batch_price_of(spec: OracleSpec) -> Price:
    """What an oracle charges for requests in a batch.

    Cached input is taken as fresh: providers do not promise both discounts at once.

    Raises:
        UserError: the price, or what batches are cheaper by, is unknown.
    """
    price = price_of(spec)
    if spec.free:
        return price
    if price.batch_discount is None:
        raise UserError(
            f"no batch price is known for {spec.price_of or spec.model!r}",
            where=f"oracle {spec.name!r}",
            hint="add a `price:` with `batch_discount: 0.5` (half price) to its entry in"
            " oracles.yaml, or leave out --provider-batch",
        )
    share = 1 - price.batch_discount
    changes = {"input": price.input * share, "output": price.output * share, "cached": None}
    return price.model_copy(update=changes)


def cost_nano(price: Price, usage: Usage) -> int:
    """The cost of a reply in nano-dollars, rounded up."""
    cached_price = price.input if price.cached is None else price.cached
    fresh = max(usage.input_tokens - usage.cached_tokens, 0)
    dollars_per_million = (
        fresh * price.input
        + usage.cached_tokens * cached_price
        + usage.output_tokens * price.output
    )
    return _up(dollars_per_million)


class WorstCase:
    """The most a request can cost; a run's questions share their schema, which is measured once.

    Byte-level tokenisers never make more tokens than bytes, and a provider never writes more than
    `max_output_tokens` (reasoning included).
    """

    def __init__(self, price: Price, schema: Mapping[str, Any] | None) -> None:
        self._price = price
        self._schema_bytes = 0 if schema is None else len(json.dumps(schema).encode())

    def nano(self, request: OracleRequest) -> int:
        """The worst case of a request in nano-dollars."""
        price, messages = self._price, request.messages()
        size = sum(len(message["content"].encode()) + _TEMPLATE_TOKENS for message in messages)
        dearest_input = max(price.input, price.cached or 0)
        tokens = size + self._schema_bytes
        return _up(tokens * dearest_input + request.max_output_tokens * price.output)


def worst_case_nano(price: Price, request: OracleRequest) -> int:
    """The most a single request can cost in nano-dollars."""
    return WorstCase(price, request.schema).nano(request)


def to_nano(dollars: float) -> int:
    """Dollars as nano-dollars, rounded down (a budget is never exceeded by rounding).

    Raises:
        UserError: not a finite number.
    """
    if not math.isfinite(dollars):
        raise UserError(f"{dollars} is no amount of money", where="--budget")
    return math.floor(round(dollars * NANO, 3))


def to_dollars(nano: int) -> float:
    """Nano-dollars as dollars."""
    return nano / NANO


def _up(tokens_times_price: float) -> int:
    # Rounded first, so that 0.1 + 0.2 does not become one nano-dollar more.
    return math.ceil(round(tokens_times_price * _PER_MILLION, 3))
