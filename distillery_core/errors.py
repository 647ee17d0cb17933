"""What can go wrong, by who has to act.

DistilleryError
|-- UserError      you can mend this: what, where, what to do (exit 2, no traceback)
|   `-- UserErrors several of them at once, e.g. every mistake of a config
`-- CheckFailed    a check or a gate said no (exit 1)
    `-- GateClosed the gate before the next stage is closed

Anything else that reaches the command line is a bug of ours and shows its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

EXIT_OK = 0
EXIT_CHECK_FAILED = 1
EXIT_USER_ERROR = 2


class DistilleryError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = EXIT_USER_ERROR


class UserError(DistilleryError):
    """Something the user can mend.

    Args:
        what: what is wrong, one sentence.
        where: the file (and line), option or address concerned.
        hint: what to do next, ideally a command.
    """

    def __init__(self, what: str, where: str | Path | None = None, hint: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.hint = hint
        super().__init__(self.render())

    def render(self) -> str:
        """The error as it is printed: `where: what. hint`."""
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  -> {self.hint}" if self.hint else ""
        return f"{place}{self.what}{advice}"

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str | None, str | None]]:
        return type(self), (self.what, self.where, self.hint)


class UserErrors(UserError):
    """All mistakes found at once, so that three typos cost one run and not three."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(error.render() for error in self.errors))

    def __reduce__(self) -> tuple[type[UserErrors], tuple[Sequence[UserError]]]:  # type: ignore[override]
        return type(self), (self.errors,)


class CheckFailed(DistilleryError):
    """A check ran and said no.

    Args:
        what: what was refused, one sentence.
        reasons: why, one line each.
        hint: the next command.
    """

    exit_code = EXIT_CHECK_FAILED

    def __init__(self, what: str, reasons: Sequence[str] = (), hint: str | None = None) -> None:
        self.what = what
        self.reasons = tuple(reasons)
        self.hint = hint
        super().__init__(self.render())

    def render(self) -> str:
        """The refusal as it is printed, reasons indented below."""
        lines = [self.what, *(f"  - {reason}" for reason in self.reasons)]
        return "\n".join([*lines, f"  -> {self.hint}"] if self.hint else lines)

    def __reduce__(self) -> tuple[type[CheckFailed], tuple[str, tuple[str, ...], str | None]]:
        return type(self), (self.what, self.reasons, self.hint)


class GateClosed(CheckFailed):
    """The gate before a stage is closed; the reasons say which line and the hint how to go on."""
