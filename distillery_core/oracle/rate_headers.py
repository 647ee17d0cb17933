"""What a provider says about its limits: rate-limit headers, and how long to leave it alone.

OpenAI and others   x-ratelimit-limit-requests, -remaining-requests, -reset-requests (`6m0s`), the
                    same for -tokens (input and output together)
Anthropic           anthropic-ratelimit-requests-limit, -remaining, -reset (a time), the same for
                    -tokens, -input-tokens and -output-tokens
everybody           retry-after (seconds or a date), retry-after-ms, or words in the message
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal

Unit = Literal["requests", "tokens", "input_tokens", "output_tokens"]

_OPENAI: tuple[Unit, ...] = ("requests", "tokens")
_ANTHROPIC: tuple[Unit, ...] = ("requests", "tokens", "input_tokens", "output_tokens")
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_WORDS = re.compile(r"(?:try again|retry) in ((?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reported:
    """A limit as a reply reports it: how much there is, what is left, seconds until all is back."""

    limit: float | None
    remaining: float | None
    reset_s: float | None


def read_limits(headers: Mapping[str, str]) -> dict[Unit, Reported]:
    """The limits that a reply's headers report; most servers report none."""
    found = {unit: _reported(headers, *_openai_names(unit)) for unit in _OPENAI}
    for unit in _ANTHROPIC:
        found[unit] = _reported(headers, *_anthropic_names(unit)) or found.get(unit)
    return {unit: reported for unit, reported in found.items() if reported is not None}


def read_retry_after(headers: Mapping[str, str], message: str = "") -> float | None:
    """Seconds to wait as the server wishes, None where it does not say."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "").strip()
    if value:
        seconds = _number(value)
        return seconds if seconds is not None else _until(value)
    words = _WORDS.search(message)
    return _duration(words[1]) if words else None


def _openai_names(unit: str) -> tuple[str, str, str]:
    prefix = "x-ratelimit"
    return f"{prefix}-limit-{unit}", f"{prefix}-remaining-{unit}", f"{prefix}-reset-{unit}"


def _anthropic_names(unit: str) -> tuple[str, str, str]:
    prefix = f"anthropic-ratelimit-{unit.replace('_', '-')}"
    return f"{prefix}-limit", f"{prefix}-remaining", f"{prefix}-reset"


def _reported(
    headers: Mapping[str, str], limit: str, remaining: str, reset: str
) -> Reported | None:
    if limit not in headers and remaining not in headers:
        return None
    when = headers.get(reset, "").strip()
    seconds = _duration(when)
    return Reported(
        limit=_number(headers.get(limit)),
        remaining=_number(headers.get(remaining)),
        reset_s=seconds if seconds is not None else _until(when),
    )


def _number(text: str | None) -> float | None:
    """A finite number that is not negative."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _duration(text: str) -> float | None:
    """Seconds of `12`, `0.5`, `120ms`, `1.5s`, `6m0s`."""
    plain = _number(text)
    if plain is not None:
        return plain
    pieces = _PIECE.findall(text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in pieces)


def _until(text: str) -> float | None:
    """Seconds until an HTTP date or a time of RFC 3339; 0 where it is past."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            return None
    return max(moment.timestamp() - time.time(), 0.0)
