"""Numbers as reports print them, each kind in one way; nothing is computed here."""

from __future__ import annotations

import math

NONE = "-"
_SMALL_MONEY = 0.10


def fixed(value: float | None, digits: int = 2) -> str:
    """A plain number with fixed decimals; no "-0.00"."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def signed(value: float | None, digits: int = 2) -> str:
    """A difference: +0.12, -0.30."""
    text = fixed(value, digits)
    return f"+{text}" if value is not None and text != NONE and float(text) > 0 else text


def percent(share: float | None, digits: int = 0) -> str:
    """A share in [0, 1] as `7 %`."""
    return NONE if share is None or not math.isfinite(share) else f"{fixed(share * 100, digits)} %"


def integer(value: float | None) -> str:
    """A count with thousands separated: 12,345."""
    return NONE if value is None or not math.isfinite(value) else f"{round(value):,}"


def counted(value: float | None, word: str) -> str:
    """A count with its word: `1 score`, `12 scores`."""
    text = integer(value)
    return f"{text} {word}" if text == "1" else f"{text} {word}s"


def money(usd: float | None) -> str:
    """US dollars: $0.0123 for small amounts, $12.30 for others."""
    if usd is None or not math.isfinite(usd):
        return NONE
    return f"${usd:,.4f}" if 0 < abs(usd) < _SMALL_MONEY else f"${usd:,.2f}"


def compact(value: float | None) -> str:
    """A large count in words of its size: 494M, 7.6B."""
    if value is None or not math.isfinite(value):
        return NONE
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            scaled = value / size
            return f"{scaled:.1f}{letter}" if scaled < 10 else f"{scaled:.0f}{letter}"
    return f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """`12 ms`, `3.4 s`, `5 min 20 s`."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def megabytes(size: float | None) -> str:
    """Bytes as `86 MB` (powers of ten)."""
    return NONE if size is None or not math.isfinite(size) else f"{size / 1e6:,.0f} MB"
