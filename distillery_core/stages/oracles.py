"""Which oracle a stage asks, and how it is named in evidence."""

from __future__ import annotations

from pathlib import Path

from distillery_core.agents.reader import LedgerReader, Reader
from distillery_core.errors import UserError
from distillery_core.files import sha256_json
from distillery_core.filters import Filter
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.opening import check_oracle
from distillery_core.oracle.questions import AskSettings
from distillery_core.oracle.recording import HEAD
from distillery_core.oracle.spec import OracleSpec, resolve_oracle
from distillery_core.stages.project import Project, find_beside

RECORDING = "recording"


def choose_oracle(project: Project, filter: Filter, name: str | None = None) -> OracleSpec:
    """The named oracle, or the one of the filter's config.

    Raises:
        UserError: there is none of that name.
    """
    return resolve_oracle(name or filter.config.oracle.name, project.root)


_ASKED_BUT_NOT_ANSWERED_BY = {
    "api_key_env", "batch", "concurrency", "fingerprint", "free", "limits", "note", "price",
    "price_of", "timeout_s",
}  # fmt: skip


_ASKED_NOT_ANSWERED_BY_CONFIG = {
    "name", "aggregate", "canaries", "canary_articles", "canary_limit"
}  # fmt: skip


def asking_sha256(filter: Filter, spec: OracleSpec) -> str:
    """Hash of what decides an answer beside prompt and text: the model, where and how it is asked
    (address, temperature, output limit, answer format ...)."""
    where = spec.model_dump(mode="json", exclude=_ASKED_BUT_NOT_ANSWERED_BY)
    how = filter.config.oracle.model_dump(mode="json", exclude=_ASKED_NOT_ANSWERED_BY_CONFIG)
    return sha256_json({"spec": where, "asked": how})


def oracle_identity(filter: Filter, spec: OracleSpec) -> str:
    """How reports and gates name an oracle. Another model under the same name, or the same one
    asked in another way, is another oracle, and closes the gate."""
    return f"{spec.name}/{spec.model} ({asking_sha256(filter, spec)[:12]})"


def recording_folder(filter: Filter) -> Path | None:
    """The filter's recorded answers, also where it was adopted from a plugin."""
    head = find_beside(filter, f"{RECORDING}/{HEAD}")
    return head.parent if head else None


def reader_of(
    project: Project,
    filter: Filter,
    ledger: Ledger,
    oracle: str | None = None,
    budget: float | None = None,
) -> Reader | None:
    """The model that reads the evidence and writes prose; None for a recorded oracle, which holds
    no reading, so that nobody reads and nothing is invented.

    Raises:
        UserError: it cannot be asked, known before the evidence is gathered.
    """
    spec = choose_oracle(project, filter, oracle)
    if spec.recording is not None:
        return None
    try:
        check_oracle(spec)
    except UserError as error:
        hint = f"{error.hint}\n  -> or --no-read: the numbers are judged, no model reads them"
        raise UserError(error.what, error.where, hint) from None
    settings = AskSettings(budget_usd=budget)
    return LedgerReader(spec, ledger, filter.label, settings)
