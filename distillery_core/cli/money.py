"""What a run will cost, said before it starts, and the question asked above a limit."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from distillery_core.cli.console import note
from distillery_core.errors import CheckFailed, UserError

if TYPE_CHECKING:
    pass

ASK_ABOVE_USD = 5.0
"""A run that may cost more than this is asked about; the seed's whole labelling job cost $8."""


class Projection(Protocol):
    """A projected cost: its upper end in US dollars, whether it is paid, and itself in words."""

    @property
    def high_usd(self) -> float: ...

    @property
    def paid(self) -> bool: ...

    def line(self) -> str: ...


def usd(amount: float) -> str:
    """Dollars with the digits that matter: `$0.0042`, `$8.20`."""
    return f"${amount:.4f}" if abs(amount) < 0.1 else f"${amount:.2f}"


def confirm(
    projection: Projection, *, budget: float | None, yes: bool, ask_above: float = ASK_ABOVE_USD
) -> None:
    """Print the projection, and above the limit get a yes.

    Raises:
        CheckFailed: a person said no; nothing was spent.
        UserError: nobody can be asked, and neither `--yes` nor `--budget` was given.
    """
    note(projection.line())
    worst = projection.high_usd if budget is None else min(projection.high_usd, budget)
    if not projection.paid or yes or worst <= ask_above:
        return
    if _somebody_is_there():
        _ask(worst)
    elif budget is None:
        raise UserError(
            f"this may cost {usd(worst)}, more than {usd(ask_above)}, and nobody can be asked here",
            hint="pass --budget USD (a hard cap) or --yes",
        )


def _somebody_is_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(worst: float) -> None:
    import typer

    if not typer.confirm(f"Spend up to {usd(worst)}?", err=True):
        raise CheckFailed("not confirmed, nothing was spent")
