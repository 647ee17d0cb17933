"""A provider's limits for the replay server: so much in each window, and headers that say so."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class ReplayLimits:
    """What the server allows in each window of `window_s` seconds.

    Args:
        headers: whose names the headers have; None sends none, not even on a refusal.
        fixed: windows that begin one after the other; else what was used comes back bit by bit, as
            it was used, `window_s` later.
    """

    requests: int
    window_s: float = 60.0
    headers: Literal["openai", "anthropic"] | None = "openai"
    fixed: bool = False


class LimitGate:
    """Lets requests pass or refuses them; `refused` counts."""

    def __init__(self, limits: ReplayLimits) -> None:
        self.refused = 0
        self.refused_at: list[float] = []
        self._limits = limits
        self._passed: deque[float] = deque()
        self._window = 0

    def passes(self) -> bool:
        """Whether a request that arrives now may pass."""
        self._forget()
        if len(self._passed) >= self._limits.requests:
            self.refused += 1
            self.refused_at.append(time.monotonic())
            return False
        self._passed.append(time.monotonic())
        return True

    def headers(self) -> dict[str, str]:
        """What the provider says about its limits now."""
        self._forget()
        limit, style = self._limits.requests, self._limits.headers
        left, reset_s = limit - len(self._passed), self._reset_s()
        if style == "openai":
            names = ("limit-requests", "remaining-requests", "reset-requests")
            values = (str(limit), str(left), f"{max(round(reset_s * 1000), 1)}ms")
            return {f"x-ratelimit-{n}": v for n, v in zip(names, values, strict=True)}
        if style == "anthropic":
            when = datetime.now(UTC) + timedelta(seconds=reset_s)
            names = ("requests-limit", "requests-remaining", "requests-reset")
            values = (str(limit), str(left), when.isoformat())
            return {f"anthropic-ratelimit-{n}": v for n, v in zip(names, values, strict=True)}
        return {}

    def retry_after(self) -> dict[str, str]:
        """The headers of a refusal besides `headers`."""
        if self._limits.headers is None:
            return {}
        return {"retry-after-ms": str(max(round(self._reset_s() * 1000), 1))}

    def _forget(self) -> None:
        now, window_s = time.monotonic(), self._limits.window_s
        if self._limits.fixed and int(now / window_s) != self._window:
            self._window = int(now / window_s)
            self._passed.clear()
        while self._passed and now - self._passed[0] >= window_s:
            self._passed.popleft()

    def _reset_s(self) -> float:
        """Seconds until everything is back."""
        if self._limits.fixed:
            return (self._window + 1) * self._limits.window_s - time.monotonic()
        if not self._passed:
            return 0.0
        return self._passed[-1] + self._limits.window_s - time.monotonic()
