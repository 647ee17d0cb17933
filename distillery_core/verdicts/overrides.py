"""A filter's own limits for lines of a verdict table, each with its reason."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from distillery_core.errors import UserError, UserErrors
from distillery_core.filters.config import CriterionOverride
from distillery_core.verdicts.conditions import Condition
from distillery_core.verdicts.criteria import Criteria, CriteriaLine

Overrides = Mapping[str, CriterionOverride | Mapping[str, Any]]
"""Line name -> {ok, fail, reason}, as a filter's config gives them."""


def with_overrides(
    criteria: Criteria, overrides: Overrides, where: str | Path | None = None
) -> Criteria:
    """The table with a filter's limits in place of the shipped ones.

    An override tightens or relaxes a limit; it cannot turn a condition round, cannot make the bands
    overlap, and needs a reason. A limit it does not name stays.

    Args:
        where: the config file, for the errors.

    Raises:
        UserErrors: unknown lines (with near matches) and impossible limits, all at once.
    """
    problems = list(_unknown(criteria, overrides, where))
    lines = []
    for line in criteria.lines:
        try:
            lines.append(_changed(line, overrides[line.name]) if line.name in overrides else line)
        except ValueError as error:
            problems.append(UserError(f"criteria.{line.name}: {_message(error)}", where=where))
    if problems:
        raise UserErrors(problems)
    return criteria.model_copy(update={"lines": tuple(lines)})


def _unknown(
    criteria: Criteria, overrides: Overrides, where: str | Path | None
) -> Iterator[UserError]:
    for name in overrides:
        if name not in criteria.names:
            close = difflib.get_close_matches(name, criteria.names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"lines: {', '.join(criteria.names)}"
            yield UserError(f"criteria.{name}: no such line", where=where, hint=hint)


def _changed(line: CriteriaLine, given: CriterionOverride | Mapping[str, Any]) -> CriteriaLine:
    override = CriterionOverride.model_validate(
        given.model_dump() if isinstance(given, CriterionOverride) else dict(given)
    )
    if not override.reason.strip():
        raise ValueError("needs a reason, which the report prints")
    if override.ok is None and override.fail is None:
        raise ValueError("changes neither ok nor fail")
    changes = {
        "ok": _same_direction("ok", line.ok, override.ok),
        "fail": _same_direction("fail", line.fail, override.fail),
        "override_reason": override.reason.strip(),
        "shipped_limits": line.limits,
    }
    return CriteriaLine.model_validate({**line.model_dump(), **changes})


def _same_direction(name: str, shipped: str | None, given: str | None) -> str | None:
    if given is None:
        return shipped
    if shipped is None:
        raise ValueError(f"the line has no {name} limit to change")
    if Condition.parse(given).upward != Condition.parse(shipped).upward:
        raise ValueError(f"{name} {given!r} turns the shipped {shipped!r} round")
    return given


def _message(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(
            ": ".join([*map(str, item["loc"]), item["msg"].removeprefix("Value error, ")])
            for item in error.errors()
        )
    return str(error)
