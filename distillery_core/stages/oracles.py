"""Which oracle a stage asks, and how it is named in evidence."""

from __future__ import annotations

from pathlib import Path

from distillery_core.agents.reader import LedgerReader, Reader
from distillery_core.filters import Filter
from distillery_core.oracle.asking import AskSettings
from distillery_core.oracle.ledger import Ledger
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


def oracle_identity(spec: OracleSpec) -> str:
    """How reports and gates name an oracle: the entry's name and the model behind it, so that
    another model under the same name closes the gate."""
    return f"{spec.name}/{spec.model}"


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
    no reading, so that nobody reads and nothing is invented."""
    spec = choose_oracle(project, filter, oracle)
    if spec.recording is not None:
        return None
    settings = AskSettings(budget_usd=budget)
    return LedgerReader(spec, ledger, filter.label, settings)
