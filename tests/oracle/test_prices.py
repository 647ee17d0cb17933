"""Money in whole nano-dollars: exact, never less than charged, unknown is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.errors import UserError
from distillery_core.oracle.client import OracleRequest, Usage
from distillery_core.oracle.prices import (
    cost_nano,
    price_of,
    price_table,
    to_dollars,
    to_nano,
    worst_case_nano,
)
from distillery_core.oracle.spec import OracleSpec, Price

PRICE = Price(input=0.3, output=2.5, cached=0.03, as_of=date(2026, 11, 1))


def test_cost_of_a_call() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, cached_tokens=400, reasoning_tokens=60)
    assert cost_nano(PRICE, usage) == 600 * 300 + 400 * 30 + 100 * 2500
    assert to_dollars(cost_nano(PRICE, usage)) == pytest.approx(0.000442)


def test_cached_input_without_a_price_is_charged_as_fresh() -> None:
    price = PRICE.model_copy(update={"cached": None})
    assert cost_nano(price, Usage(10, 0, cached_tokens=10)) == 10 * 300


def test_budget_is_never_rounded_up() -> None:
    assert to_nano(8) == 8_000_000_000
    assert to_nano(0.0000000019) == 1
    for budget in (float("inf"), float("nan")):
        with pytest.raises(UserError, match="no amount of money"):
            to_nano(budget)


def test_every_price_is_dated_and_sourced() -> None:
    assert len(price_table()) >= 8
    for name, price in price_table().items():
        assert price.as_of >= date(2026, 1, 1), name
        assert price.source.startswith("https://"), name
        assert price.cached is None or price.cached <= price.input, name


def test_own_price_wins_over_the_table_and_unknown_is_refused() -> None:
    assert price_of(OracleSpec(model="gpt-4o-mini")).output == 0.60
    assert price_of(OracleSpec(model="gpt-4o-mini", price=PRICE)) == PRICE
    assert price_of(OracleSpec(model="mine", price_of="gpt-4o-mini")).input == 0.15
    assert price_of(OracleSpec(model="mine", free=True)).output == 0
    with pytest.raises(UserError, match="no price is known for 'mine'"):
        price_of(OracleSpec(name="o", model="mine"))


@given(content=st.text(max_size=200), output=st.integers(1, 4000), share=st.floats(0, 1))
def test_worst_case_covers_every_possible_bill(content: str, output: int, share: float) -> None:
    content = content.encode("utf-8", "replace").decode()
    request = OracleRequest(content, content, {"a": 1}, "n", "json_schema", output, 0.0)
    most_tokens = sum(len(m["content"].encode()) for m in request.messages())
    usage = Usage(most_tokens, output, cached_tokens=int(most_tokens * share))
    assert cost_nano(PRICE, usage) <= worst_case_nano(PRICE, request)


def test_repair_reserves_for_its_longer_conversation(
    request_about: Callable[..., OracleRequest],
) -> None:
    plain = request_about("text")
    repair = request_about("text", follow_up=("the answer", "is wrong"))
    assert worst_case_nano(PRICE, repair) > worst_case_nano(PRICE, plain)
