"""Nobody spends more than the limit without a yes, a budget, or a terminal that was asked."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from distillery_core.cli import money
from distillery_core.errors import CheckFailed, UserError


@dataclass(frozen=True)
class Projected:
    high_usd: float = 9.5
    paid: bool = True

    def line(self) -> str:
        return "8000 calls, will cost: $7.00-$9.50"


def on_terminal(monkeypatch: pytest.MonkeyPatch, answer: bool) -> list[str]:
    """Pretend that a person sits there and answers."""
    asked: list[str] = []

    def confirm(text: str, err: bool = False) -> bool:
        asked.append(text)
        return answer

    monkeypatch.setattr("typer.confirm", confirm)
    monkeypatch.setattr(money, "_somebody_is_there", lambda: True)
    return asked


def test_above_the_limit_nobody_to_ask_is_refused() -> None:
    with pytest.raises(UserError, match=r"(?s)may cost \$9\.50.*--budget USD .* or --yes"):
        money.confirm(Projected(), budget=None, yes=False)


@pytest.mark.parametrize(
    ("projected", "budget", "yes"),
    [
        (Projected(), None, True),
        (Projected(), 8.0, False),
        (Projected(), 2.0, False),
        (Projected(paid=False), None, False),
        (Projected(high_usd=5.0), None, False),
    ],
    ids=["yes", "budget above the limit", "budget below it", "nothing is paid", "at the limit"],
)
def test_goes_on_without_asking(projected: Projected, budget: float | None, yes: bool) -> None:
    money.confirm(projected, budget=budget, yes=yes)


def test_a_person_is_asked_and_may_say_no(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = on_terminal(monkeypatch, answer=False)
    with pytest.raises(CheckFailed, match="nothing was spent"):
        money.confirm(Projected(), budget=None, yes=False)
    assert asked == ["Spend up to $9.50?"]


def test_a_person_with_a_budget_is_asked_about_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = on_terminal(monkeypatch, answer=True)
    money.confirm(Projected(), budget=6.0, yes=False)
    assert asked == ["Spend up to $6.00?"]


def test_the_projection_is_said_first(capsys: pytest.CaptureFixture[str]) -> None:
    money.confirm(Projected(paid=False), budget=None, yes=False)
    assert capsys.readouterr().err == "8000 calls, will cost: $7.00-$9.50\n"
