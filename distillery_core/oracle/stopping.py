"""When a run ends early: failures of the set-up, too many failures, no progress."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from distillery_core.oracle.client import OracleFailure
from distillery_core.oracle.flow import Stop
from distillery_core.oracle.ledger import BudgetExceeded
from distillery_core.oracle.prices import to_dollars
from distillery_core.oracle.questions import AskSettings
from distillery_core.oracle.spec import OracleSpec

Clock = Callable[[], float]

LATER = "run the same command again later; nothing is lost"
_HINTS = {
    "auth": "check the key in {variable}, and that it may use this model",
    "quota": "the account has no balance left; top it up, then run the same command again",
    "not_found": "check base_url and model in oracles.yaml (a recording knows one prompt only)",
}


class StopRules:
    """All rules that look at calls; each returns the Stop, once there is a reason."""

    def __init__(self, spec: OracleSpec, settings: AskSettings, concurrency: int) -> None:
        self._spec, self._max_wait_s = spec, settings.max_wait_s
        self._failures = FailureWatch(settings.failure_window, settings.failure_share)
        calls = settings.no_progress_calls
        enough = None if calls is None else max(calls, 4 * concurrency)
        self._progress = ProgressWatch(enough, settings.no_progress_s)

    def good(self) -> None:
        """A usable answer arrived."""
        self._failures.good()
        self._progress.good()

    def unusable(self, reason: str) -> Stop | None:
        """An article ended with an answer that failed its check."""
        return self._failures.unusable(reason)

    def failed(self, failure: OracleFailure, *, ends_row: bool) -> Stop | None:
        """A call failed; whatever the Stop, the question it hit stays open."""
        name, kind = self._spec.name, failure.kind
        if kind in _HINTS:
            message = f"oracle {name!r}: {failure.message}"
            if failure.status:
                message += f" (HTTP {failure.status})"
            return Stop(kind, message, _HINTS[kind].format(variable=self._variable()))  # type: ignore[arg-type]
        if (stop := self.too_long(failure.retry_after_s or 0, failure.message)) is not None:
            return stop
        row = ends_row and kind not in ("bad_request", "refused")
        stop = self._failures.failed(kind, failure.message, ends_row=row)
        return stop or self._progress.failed(failure.message)

    def too_long(self, wait_s: float, why: str) -> Stop | None:
        """The oracle is not to be asked for longer than a run waits."""
        if wait_s <= self._max_wait_s:
            return None
        what = f"oracle {self._spec.name!r} asks to wait {wait_s:.0f} s; {why}"
        return Stop("wait", what, LATER)

    def _variable(self) -> str:
        return self._spec.api_key_env or "api_key_env (oracles.yaml names none)"


def budget_stop(exceeded: BudgetExceeded, budget_usd: float, filter: str) -> Stop:
    """The next call does not fit into the budget any more."""
    what = (
        f"the budget of ${budget_usd:.4f} is used up: the ledger shows "
        f"${to_dollars(exceeded.counted_nano):.4f} for {filter}, the next call may "
        f"cost ${to_dollars(exceeded.needed_nano):.4f}"
    )
    return Stop("budget", what, "answers so far are kept; go on with a higher --budget")


class ProgressWatch:
    """Stops when calls keep failing, of whatever kind, and no usable answer arrives between them.

    Overload alone never counts as a failure of the oracle, but a run in which it is all that comes
    back for minutes helps nobody.

    Args:
        calls: failed calls in a row that are enough; None never stops.
        seconds: time without a usable answer that is enough, once a few calls have failed in it.
    """

    _A_FEW = 20

    def __init__(self, calls: int | None, seconds: float, clock: Clock = time.monotonic) -> None:
        self._calls, self._seconds, self._clock = calls, seconds, clock
        self._failed = 0
        self._since = 0.0

    def good(self) -> None:
        """A usable answer arrived."""
        self._failed = 0

    def failed(self, message: str) -> Stop | None:
        """A call failed."""
        if self._failed == 0:
            self._since = self._clock()
        self._failed += 1
        waited = self._clock() - self._since
        late = waited >= self._seconds and self._failed >= self._A_FEW
        if self._calls is None or not (late or self._failed >= self._calls):
            return None
        what = (
            f"stopped: no usable answer among the last {self._failed} calls, in {waited:.0f} s; "
            f"the last one: {message}"
        )
        hint = (
            "look into `distillery ledger show`; ask less at once (`concurrency` or `limits` in "
            "oracles.yaml), then run the same command again: nothing is lost"
        )
        return Stop("no_progress", what, hint)


class FailureWatch:
    """Decides from the outcomes of calls when going on makes no sense.

    Args:
        window: number of last outcomes looked at; None never stops for a failure rate.
        share: share of failures in a full window that stops, 0-1.
    """

    _DOWN_IN_A_ROW = 10
    _ROWS_WITHOUT_SUCCESS = 3

    def __init__(self, window: int | None, share: float) -> None:
        self._share = share
        self._outcomes: deque[bool] | None = deque(maxlen=window) if window else None
        self._down_in_a_row = 0
        self._rows_failed = 0
        self._rows_overloaded = 0
        self._succeeded = False

    def good(self) -> None:
        """A usable answer arrived."""
        self._answered()
        self._add(True)

    def unusable(self, reason: str) -> Stop | None:
        """An answer arrived that failed its check."""
        self._answered()
        self._add(False)
        return self._rate(f"the last one: {reason}")

    def failed(self, kind: str, message: str, *, ends_row: bool) -> Stop | None:
        """A call failed.

        Overload is answered by asking less often; only when article after article is given up for
        it, as when a day's quota is used up, does going on make no sense.
        """
        if kind == "overload":
            self._rows_overloaded += ends_row
            if self._rows_overloaded < self._ROWS_WITHOUT_SUCCESS:
                return None
            what = f"{self._rows_overloaded} articles in a row met nothing but overload; {message}"
            return Stop("wait", what, "run the same command again later, with --retry-failed")
        self._add(False)
        self._rows_failed += ends_row
        self._down_in_a_row = self._down_in_a_row + 1 if kind == "down" else 0
        if kind == "down" and (not self._succeeded or self._down_in_a_row >= self._DOWN_IN_A_ROW):
            return Stop("down", message, "start the server, then run the same command again")
        if not self._succeeded and self._rows_failed >= self._ROWS_WITHOUT_SUCCESS:
            what = f"{self._rows_failed} articles failed and none was answered; {message}"
            return Stop("failures", what, "look into `distillery ledger show`")
        return self._rate(f"the last one: {message}")

    def _answered(self) -> None:
        self._succeeded = True
        self._down_in_a_row = self._rows_overloaded = 0

    def _add(self, good: bool) -> None:
        if self._outcomes is not None:
            self._outcomes.append(good)

    def _rate(self, last: str) -> Stop | None:
        outcomes = self._outcomes
        if outcomes is None or len(outcomes) < (outcomes.maxlen or 0):
            return None
        bad = outcomes.count(False)
        if bad < self._share * len(outcomes):
            return None
        what = f"stopped: {bad} of the last {len(outcomes)} calls brought no usable answer; {last}"
        hint = "answers so far are in the ledger; mend the cause, then run the same command again"
        return Stop("failures", what, hint)
