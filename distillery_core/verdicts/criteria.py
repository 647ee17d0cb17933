"""The verdict tables: `agents/<agent>/criteria.yaml` as checked, frozen objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from distillery_core import content
from distillery_core.errors import UserError
from distillery_core.types import Level
from distillery_core.verdicts.conditions import Condition
from distillery_core.yaml_source import load_model

Kind = Literal["general", "needle"]
ForKind = Literal["all", "general", "needle"]
Unit = Literal["share", "score", "difference", "count", "ratio", "flag", "grade"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Words(_Strict):
    """What this table calls its three verdicts."""

    ok: str
    review: str
    fail: str

    def of(self, level: Level) -> str:
        """The word for a level."""
        words = {Level.OK: self.ok, Level.REVIEW: self.review, Level.FAIL: self.fail}
        return words.get(level, "not applicable")


class CriteriaLine(_Strict):
    """One line of a table; what lies in neither band is REVIEW.

    Attributes:
        name: the key that measurements are given under.
        measures: what exactly the number is.
        ok, fail: conditions; without `fail` the line is REVIEW at worst.
        ok_by, fail_by: what has to lie in the band: the point estimate, the whole 95 % interval,
            or (overlap) at least one end of it.
        minimum_n: with a smaller n the line is insufficient evidence, unless the whole interval
            lies in the FAIL band.
        minimum_n_of: the measurement whose n counts, where it is not the line's own.
        below_minimum: what too small an n makes of the line.
        fail_requires: further measurements and the conditions they must meet for a FAIL.
        applies_to, decides_for, fails_for: filter kinds that the line is judged for, counts for,
            and can FAIL for.
        may_not_apply: whether a report may state that the line does not apply.
        stand_in: the line that has to be measured where this one does not apply.
        rounds: the rounds that have this line; empty means all.
        override_reason: why a filter changed the limits.
        shipped_limits: the limits before that change.
    """

    name: str
    title: str
    measures: str
    unit: Unit = "score"
    ok: str
    fail: str | None = None
    ok_by: Literal["point", "interval", "overlap"] = "point"
    fail_by: Literal["point", "interval"] = "point"
    minimum_n: int | None = Field(default=None, ge=1)
    minimum_n_of: str | None = None
    below_minimum: Literal["review", "not_applicable"] = "review"
    fail_requires: dict[str, str] = {}
    applies_to: ForKind = "all"
    decides_for: ForKind = "all"
    fails_for: ForKind = "all"
    may_not_apply: bool = False
    stand_in: str | None = None
    rounds: tuple[str, ...] = ()
    override_reason: str | None = None
    shipped_limits: str | None = None

    @field_validator("ok", "fail")
    @classmethod
    def _parses(cls, text: str | None) -> str | None:
        if text is not None:
            Condition.parse(text)
        return text

    @field_validator("fail_requires")
    @classmethod
    def _all_parse(cls, conditions: dict[str, str]) -> dict[str, str]:
        for text in conditions.values():
            Condition.parse(text)
        return conditions

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        if self.fail_band is not None and self.ok_band.overlaps(self.fail_band):
            raise ValueError(f"{self.name}: ok {self.ok!r} and fail {self.fail!r} overlap")
        return self

    @property
    def ok_band(self) -> Condition:
        """The condition of the best band."""
        return Condition.parse(self.ok)

    @property
    def fail_band(self) -> Condition | None:
        """The condition of the worst band, None where the line cannot FAIL."""
        return None if self.fail is None else Condition.parse(self.fail)

    @property
    def limits(self) -> str:
        """Both conditions in words."""
        return f"ok {self.ok}" + (f", fail {self.fail}" if self.fail else "")


class Criteria(_Strict):
    """A table, as a whole or (after `for_round`) as one round sees it.

    `commands` write the report of a round anew; `mend` says what comes before that after a FAIL.
    """

    schema_version: Literal[1] = Field(alias="schema")
    agent: str
    title: str
    words: Words
    reading: str | None = None
    commands: dict[str, str] = Field(min_length=1)
    mend: dict[str, str] = {}
    lines: tuple[CriteriaLine, ...] = Field(min_length=1)
    round: str | None = None

    @field_validator("lines", mode="before")
    @classmethod
    def _named(cls, lines: Any) -> Any:
        """In YAML the lines are a mapping from name to line."""
        if isinstance(lines, dict):
            return [
                {"name": name, **line} if isinstance(line, dict) else line
                for name, line in lines.items()
            ]
        return lines

    @model_validator(mode="after")
    def _references(self) -> Self:
        names = set(self.names)
        for line in self.lines:
            unknown = {line.stand_in, line.minimum_n_of} - names - {None}
            if unknown:
                raise ValueError(
                    f"{line.name} refers to unknown lines: {sorted(map(str, unknown))}"
                )
            rounds = set(line.rounds) - set(self.commands)
            if rounds:
                raise ValueError(f"{line.name} has rounds without a command: {sorted(rounds)}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The lines' names, in the table's order."""
        return tuple(line.name for line in self.lines)

    def line(self, name: str) -> CriteriaLine:
        """The line of that name (KeyError: there is none)."""
        for line in self.lines:
            if line.name == name:
                return line
        raise KeyError(name)

    def for_round(self, name: str) -> Criteria:
        """The table with only the lines that this round has.

        Raises:
            UserError: the agent has no such round.
        """
        if name not in self.commands:
            known = ", ".join(self.commands)
            raise UserError(f"{self.agent} has no round {name!r}", hint=f"it has: {known}")
        lines = tuple(line for line in self.lines if not line.rounds or name in line.rounds)
        return self.model_copy(update={"lines": lines, "round": name})


def read_criteria(path: Path) -> Criteria:
    """A table from its file.

    Raises:
        UserErrors: every mistake, with its line.
    """
    return load_model(path, Criteria)


def load_criteria(agent: str, project: Path) -> Criteria:
    """The table of an agent: the project's own `agents/<agent>/criteria.yaml` before the shipped.

    Raises:
        UserError: there is none, or it has mistakes.
    """
    return read_criteria(content.find_content("agents", agent, project) / "criteria.yaml")
