"""Conditions such as "< 0.10" that bound a band of a verdict table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

TOLERANCE = 1e-9
"""Values this close to a limit count as equal to it: 0.3 - 0.2 is 10 points, not a hair less."""

_FORM = re.compile(r"(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Condition:
    """One side of a limit.

    Attributes:
        operator: one of <, <=, >, >=.
        limit: the number compared with.
    """

    operator: str
    limit: float

    @staticmethod
    @lru_cache(maxsize=256)
    def parse(text: str) -> Condition:
        """Read "< 0.10", "<= 2", "> -1.5" or ">= 20".

        Raises:
            ValueError: anything else.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a condition such as '< 0.10' or '>= 20'")
        return Condition(match[1], float(match[2]))

    @property
    def upward(self) -> bool:
        """Whether large values satisfy it."""
        return self.operator.startswith(">")

    @property
    def inclusive(self) -> bool:
        """Whether the limit itself satisfies it."""
        return self.operator.endswith("=")

    def holds(self, value: float) -> bool:
        """Whether a finite value satisfies it, up to `TOLERANCE` at the limit."""
        if abs(value - self.limit) <= TOLERANCE:
            return self.inclusive
        return value > self.limit if self.upward else value < self.limit

    def overlaps(self, other: Condition) -> bool:
        """Whether some value satisfies both."""
        if self.upward == other.upward:
            return True
        lower, upper = (self, other) if self.upward else (other, self)
        if lower.limit == upper.limit:
            return lower.inclusive and upper.inclusive
        return lower.limit < upper.limit

    def __str__(self) -> str:
        return f"{self.operator} {self.limit:g}"
