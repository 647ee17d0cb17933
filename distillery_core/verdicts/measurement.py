"""One measured quantity of a verdict table, with its sample size and interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured for one line.

    Attributes:
        value: the point estimate; None where nothing could be measured.
        n: sample size behind it.
        count: for a rate, how many of `n`.
        low, high: 95 % interval.
        applicable: False where the line has no meaning here (no repeats, no incumbent).
        note: a few words for the report, e.g. why the line does not apply.
    """

    value: float | None = None
    n: int | None = None
    count: int | None = None
    low: float | None = None
    high: float | None = None
    applicable: bool = True
    note: str = ""

    @property
    def point(self) -> float | None:
        """The value where it is evidence: measured and finite."""
        return finite(self.value)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval where it is evidence: both ends known and finite."""
        low, high = finite(self.low), finite(self.high)
        return None if low is None or high is None else (low, high)

    def to_dict(self) -> dict[str, Any]:
        """The fields that say something, as plain numbers for YAML or JSON."""
        plain = {name: _plain(value) for name, value in asdict(self).items()}
        return {
            name: value
            for name, value in plain.items()
            if value is not None and (name, value) not in {("applicable", True), ("note", "")}
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Measurement:
        """The inverse of `to_dict`.

        Raises:
            ValueError: unknown keys, wrong types, NaN or infinities.
        """
        unknown = sorted(set(data) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"unknown keys of a measurement: {', '.join(unknown)}")
        return cls(**{name: _checked(name, value) for name, value in data.items()})


NOT_APPLICABLE = Measurement(applicable=False)


def not_applicable(why: str) -> Measurement:
    """A line that has no meaning here, with the reason that the report prints."""
    return Measurement(applicable=False, note=why)


def finite(value: float | None) -> float | None:
    """The value, or None where it is missing, NaN or infinite."""
    return value if value is not None and math.isfinite(value) else None


def rate(count: int, n: int, note: str = "") -> Measurement:
    """A share `count / n` with its Wilson interval; of nothing (n = 0) it has no value.

    Raises:
        ValueError: not 0 <= count <= n.
    """
    if not 0 <= count <= n:
        raise ValueError(f"{count} of {n} is not a rate")
    if n == 0:
        return Measurement(n=0, count=0, note=note)
    low, high = wilson(count, n)
    return Measurement(count / n, n=n, count=count, low=low, high=high, note=note)


def wilson(count: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of a proportion (Wilson 1927), clipped to [0, 1]; n >= 1."""
    share = count / n
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    centre = share + z * z / (2 * n)
    scale = 1 + z * z / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def _plain(value: Any) -> Any:
    """NumPy scalars as Python numbers, so that safe YAML can write them."""
    return value.item() if hasattr(value, "item") else value


def _checked(name: str, value: Any) -> Any:
    expected: tuple[type, ...] = {
        "applicable": (bool,),
        "note": (str,),
        "n": (int,),
        "count": (int,),
    }.get(name, (int, float))
    wrong_bool = isinstance(value, bool) and bool not in expected
    if wrong_bool or not isinstance(value, expected):
        raise ValueError(f"{name} of a measurement cannot be {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} of a measurement must be finite, not {value!r}")
    return value
