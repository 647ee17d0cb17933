"""Notices that a provider has put another model behind a name (docs/decisions/0008).

Kept in the ledger per prompt, model and parameters: which model names and fingerprints its answers
came with. The returned model name must stay the same. `system_fingerprint` differs where several
back ends answer at once, so that by default only a lasting change counts: so many answers in a row,
none of them with a known fingerprint.
"""

from __future__ import annotations

from distillery_core.files import now_utc
from distillery_core.oracle.client import OracleReply
from distillery_core.oracle.flow import Stop
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.spec import FingerprintRule

LASTING = 20
"""Answers in a row with unknown fingerprints that make a lasting change."""

_HINT = (
    "compare them on a calibration sample (distillery calibrate); --accept-fingerprint goes on "
    "with the new one, answers so far are kept"
)


class FingerprintWatch:
    """What one prompt's answers came with, over all runs.

    Args:
        accept: take the first change of this run for known, and go on.
    """

    def __init__(
        self,
        ledger: Ledger,
        prompt_sha256: str,
        model: str,
        parameters_sha256: str,
        rule: FingerprintRule = "lasting",
        *,
        accept: bool = False,
    ) -> None:
        self._ledger, self._rule, self._accept = ledger, rule, accept
        self._asked = (prompt_sha256, model, parameters_sha256)
        self._known = self._read()
        self._strangers: list[str] = []

    def saw(self, reply: OracleReply) -> Stop | None:
        """Note an answer; the Stop says what has changed."""
        models = {model for model, _ in self._known}
        if models and reply.model not in models:
            return self._changed("model", reply.model, reply.fingerprint, sorted(models))
        if (reply.model, reply.fingerprint) in self._known:
            self._settle_strangers(reply.model)
            return None
        known = sorted(print for _, print in self._known if print)
        if not known or not reply.fingerprint or self._rule == "ignore":
            self._learn(reply.model, reply.fingerprint)
            return None
        self._strangers.append(reply.fingerprint)
        if self._rule == "any" or len(self._strangers) >= LASTING:
            return self._changed("fingerprint", reply.model, reply.fingerprint, known)
        return None

    def _settle_strangers(self, model: str) -> None:
        """A known fingerprint came in between: the others answer beside it, not instead of it."""
        for stranger in set(self._strangers):
            self._learn(model, stranger)
        self._strangers = []

    def _changed(self, what: str, model: str, fingerprint: str, known: list[str]) -> Stop | None:
        if self._accept:
            self._accept = False
            self._strangers = []
            self._learn(model, fingerprint)
            return None
        now = model if what == "model" else fingerprint
        message = (
            f"stopped: the provider's {what} is {now!r} now, earlier answers to this prompt came "
            f"from {', '.join(map(repr, known[:3]))}"
        )
        return Stop("fingerprint", message, _HINT)

    def _read(self) -> set[tuple[str, str]]:
        rows = self._ledger.connection.execute(
            "SELECT answered_model, fingerprint FROM answered_by"
            " WHERE prompt_sha256 = ? AND model = ? AND parameters_sha256 = ?",
            self._asked,
        )
        return {(row[0], row[1]) for row in rows}

    def _learn(self, model: str, fingerprint: str) -> None:
        self._known.add((model, fingerprint))
        with self._ledger.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO answered_by VALUES (?,?,?,?,?,?)",
                (*self._asked, model, fingerprint, now_utc()),
            )
