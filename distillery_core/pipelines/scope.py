"""What a run is about, read on the client before anything starts: project, filter, oracle, files.

Nothing here imports ZenML; the pipelines call it while they are compiled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery_core.content import project_root
from distillery_core.files import sha256_file
from distillery_core.filters import Filter, resolve_filter
from distillery_core.oracle.spec import OracleSpec
from distillery_core.stages.oracles import choose_oracle
from distillery_core.stages.project import Project, open_project
from distillery_core.verdicts.approvals import FILE_NAME

NONE = "none"


@dataclass(frozen=True)
class Scope:
    """What a run is about.

    Attributes:
        reference: the filter as the steps look it up: `crisis:v1`, or the path that was given.
        oracle_name: the oracle asked for; None means the filter's own.
    """

    project: Project
    filter: Filter
    reference: str
    oracle_name: str | None = None

    @property
    def place(self) -> dict[str, Any]:
        """The two parameters that every step takes."""
        return {"project": str(self.project.root), "filter": self.reference}

    @property
    def oracle(self) -> OracleSpec:
        """The oracle that will be asked.

        Raises:
            UserError: oracles.yaml has none of that name.
        """
        return choose_oracle(self.project, self.filter, self.oracle_name)

    @property
    def approvals_sha256(self) -> str:
        """Hash of the filter's approvals.yaml, which a gate step takes as a parameter."""
        path = self.project.home(self.filter) / FILE_NAME
        return sha256_file(path) if path.is_file() else NONE

    def path(self, given: str) -> Path:
        """A path of a run file: absolute, or relative to the project."""
        return self.project.root / Path(given).expanduser()


def open_scope(filter: str, project: str | None, oracle: str | None = None) -> Scope:
    """Open what a run names.

    Args:
        filter: NAME, NAME:vN or PATH (relative to the project).
        project: the project's folder; None is the one that the working directory lies in.

    Raises:
        UserError: no such filter, or mistakes in it.
    """
    opened = open_project(project_root(Path(project).expanduser() if project else None))
    as_path = opened.root / filter
    if as_path.is_dir():
        found = resolve_filter(str(as_path), opened.root)
        return Scope(opened, found, str(as_path), oracle)
    found = resolve_filter(filter, opened.root)
    return Scope(opened, found, found.label, oracle)
