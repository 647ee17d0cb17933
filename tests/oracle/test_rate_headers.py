"""What providers say about their limits, in their own ways."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.oracle.rate_headers import Reported, read_limits, read_retry_after


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_openai_reports_requests_and_tokens() -> None:
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "30000",
        "x-ratelimit-remaining-tokens": "29000",
        "x-ratelimit-reset-tokens": "6m2.5s",
    }
    assert read_limits(headers) == {
        "requests": Reported(500, 499, 0.12),
        "tokens": Reported(30000, 29000, 362.5),
    }


def test_anthropic_reports_input_and_output_apart_and_a_time() -> None:
    headers = {
        "anthropic-ratelimit-input-tokens-limit": "40000",
        "anthropic-ratelimit-input-tokens-remaining": "1000",
        "anthropic-ratelimit-input-tokens-reset": soon(30).isoformat().replace("+00:00", "Z"),
        "anthropic-ratelimit-output-tokens-limit": "8000",
        "anthropic-ratelimit-output-tokens-remaining": "7000",
        "anthropic-ratelimit-output-tokens-reset": soon(-5).isoformat(),
    }
    limits = read_limits(headers)
    assert set(limits) == {"input_tokens", "output_tokens"}
    assert limits["input_tokens"].reset_s == pytest.approx(30, abs=2)
    assert limits["output_tokens"] == Reported(8000, 7000, 0.0)


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry-after": "2.5"}, "", 2.5),
        ({"retry-after-ms": "120", "retry-after": "1"}, "", 0.12),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "inf"}, "", None),
        ({"retry-after": "-3"}, "", None),
        ({}, "Rate limit reached. Please try again in 1m2s. Visit ...", 62),
        ({}, "You exceeded your current quota. Please retry in 34.07s.", 34.07),
        ({}, "no hint at all", None),
    ],
)
def test_how_long_to_wait(headers: Mapping[str, str], message: str, seconds: float | None) -> None:
    found = read_retry_after(headers, message)
    assert found == (seconds if seconds is None else pytest.approx(seconds, abs=2))


def test_a_date_is_counted_from_now() -> None:
    date = format_datetime(soon(60), usegmt=True)
    assert read_retry_after({"retry-after": date}) == pytest.approx(60, abs=2)


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_header_is_too_strange(limit: str, remaining: str, reset: str) -> None:
    names = ("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")
    headers = dict(zip(names, (limit, remaining, reset), strict=True))
    for reported in read_limits(headers).values():
        for value in (reported.limit, reported.remaining, reported.reset_s):
            assert value is None or 0 <= value < float("inf")
    read_retry_after({"retry-after": reset, "retry-after-ms": limit}, remaining)
