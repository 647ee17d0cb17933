"""What an agent declares in `agents/<agent>/`: its reports, its reading, the action for each line.

agent.yaml      this schema                  criteria.yaml   the verdict table (verdicts/)
prompt.md.j2    what a reading model is told  report.md.j2    how the report looks
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from distillery_core.content import find_content
from distillery_core.errors import UserError
from distillery_core.types import Level
from distillery_core.verdicts.criteria import Criteria, read_criteria
from distillery_core.verdicts.overrides import Overrides, with_overrides
from distillery_core.yaml_source import load_model

AGENT_FILE = "agent.yaml"
CRITERIA = "criteria.yaml"
PROMPT = "prompt.md.j2"
TEMPLATE = "report.md.j2"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReadingSettings(_Strict):
    """How a model is asked to read the evidence.

    `worst` articles of each kind of error and `others` taken evenly from the rest are shown, each
    cut to `excerpt_chars` characters.
    """

    temperature: float = Field(default=0.0, ge=0, le=2)
    max_output_tokens: int = Field(default=3000, ge=256)
    worst: int = Field(default=5, ge=0)
    others: int = Field(default=6, ge=0)
    excerpt_chars: int = Field(default=1500, ge=100)


class Actions(_Strict):
    """What to do about a line, as small templates over its numbers (see README.md)."""

    review: str | None = None
    fail: str | None = None
    insufficient: str | None = None

    def for_level(self, level: Level, insufficient: bool) -> str | None:
        """The action that fits best; a FAIL without its own takes that of REVIEW."""
        if insufficient and self.insufficient:
            return self.insufficient
        return (self.fail or self.review) if level is Level.FAIL else self.review


class NextSteps(_Strict):
    """What follows a verdict."""

    ok: str
    review: str
    fail: str

    def for_level(self, level: Level) -> str:
        """The step after this level."""
        return {Level.OK: self.ok, Level.REVIEW: self.review}.get(level, self.fail)


class ProbeSettings(_Strict):
    """On how many articles each known attack is tried."""

    articles: int = Field(default=3, ge=0)


class AgentFile(_Strict):
    """The whole of agent.yaml."""

    agent: str
    title: str
    description: str
    reports: dict[str, str] = Field(min_length=1)
    reading: ReadingSettings = ReadingSettings()
    probes: ProbeSettings = ProbeSettings()
    actions: dict[str, Actions] = {}
    insufficient: str
    next: dict[str, NextSteps]

    @model_validator(mode="after")
    def _rounds(self) -> Self:
        missing = sorted(set(self.reports) - set(self.next))
        if missing:
            raise ValueError(f"next says nothing for: {', '.join(missing)}")
        return self


@dataclass(frozen=True)
class Agent:
    """An agent as declared: the folder, its agent.yaml and its verdict table."""

    folder: Path
    declared: AgentFile
    criteria: Criteria

    def table(self, round: str, overrides: Overrides, where: Path) -> Criteria:
        """The verdict table of a round with a filter's own limits.

        Raises:
            UserErrors: the filter overrides lines that do not exist, or makes limits impossible.
        """
        return with_overrides(self.criteria, overrides, where).for_round(round)


def load_agent(name: str, project: Path) -> Agent:
    """The agent's declaration, the project's before the shipped one.

    Raises:
        UserError: mistakes in agent.yaml or criteria.yaml, or an action for a line that the
            table does not have.
    """
    folder = find_content("agents", name, project)
    declared = load_model(folder / AGENT_FILE, AgentFile)
    criteria = read_criteria(folder / CRITERIA)
    unknown = sorted(set(declared.actions) - set(criteria.names))
    if unknown:
        what = f"actions for lines that criteria.yaml does not have: {', '.join(unknown)}"
        raise UserError(what, where=folder / AGENT_FILE)
    return Agent(folder, declared, criteria)
