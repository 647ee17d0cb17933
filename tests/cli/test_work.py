"""Progress: plain lines at a measured pace, and a bar that takes no markup."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from distillery_core.cli.work import BarWork, LineWork, Pace, duration, lines_in, with_total, work


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_lines_come_every_few_seconds_and_at_the_end(clock: Clock) -> None:
    lines: list[str] = []
    task = LineWork("label", clock, lines.append)
    for done in range(11):
        task.progress(done, 10, f"${done / 100:.2f}")
        clock.now += 1
    assert lines == [
        "label: 0 of 10 (0%), $0.00",
        "label: 5 of 10 (50%), 5 s left, $0.05",
        "label: 10 of 10 (100%), $0.10",
    ]


def test_a_line_without_total(clock: Clock) -> None:
    lines: list[str] = []
    LineWork("score", clock, lines.append).progress(3, None, "a\x1b[2J title")
    assert lines == ["score: 3, a\\u001b[2J title"]


def test_a_stage_without_count_says_only_what_it_does(clock: Clock) -> None:
    lines: list[str] = []
    LineWork("evaluate", clock, lines.append).progress(0, None, "fitting the baselines")
    assert lines == ["evaluate: fitting the baselines"]


def test_the_total_is_filled_in_where_it_is_not_known(tmp_path: Path) -> None:
    seen: list[int | None] = []
    report = with_total(lambda done, total, note="": seen.append(total), 7)
    report(1, None)
    report(1, 3)
    assert seen == [7, 3]


def test_lines_in(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("1\n2\n3\n", encoding="utf-8")
    (tmp_path / "a.jsonl.gz").write_bytes(b"packed")
    assert lines_in(tmp_path / "a.jsonl") == 3
    assert lines_in(tmp_path / "a.jsonl.gz") is None
    assert lines_in(tmp_path / "missing") is None


def test_pace_starts_again_with_other_work(clock: Clock) -> None:
    pace = Pace(clock)
    pace.update(0, 100)
    clock.now += 10
    pace.update(50, 100)
    assert pace.seconds_left() == pytest.approx(10)
    pace.update(0, 30)
    assert pace.seconds_left() is None
    clock.now += 1
    pace.update(10, 30)
    assert pace.seconds_left() == pytest.approx(2)


def test_pace_of_a_resumed_run_counts_only_what_this_run_did(clock: Clock) -> None:
    pace = Pace(clock)
    pace.update(900, 1000)
    clock.now += 10
    pace.update(910, 1000)
    assert pace.seconds_left() == pytest.approx(90)


def test_pace_forgets_the_quick_start_of_a_resumed_run(clock: Clock) -> None:
    """900 answers come from the ledger in two seconds, the others one a second."""
    pace = Pace(clock)
    for done in (300, 600, 900):
        pace.update(done, 2000)
        clock.now += 1
    for done in range(901, 1201):
        pace.update(done, 2000)
        clock.now += 1
    assert pace.seconds_left() == pytest.approx(800, rel=0.05)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3599, "60 min"), (7500, "2 h 05 min")],
)
def test_duration(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_bar_takes_markup_as_text() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=120, markup=False, force_terminal=False)
    columns = (TextColumn("{task.description}"), TextColumn("{task.fields[note]}", markup=False))
    with Progress(*columns, console=console) as bars:
        task = BarWork("label", bars)
        task.progress(0, 2, "[red]$0.01[/red]")
        task.progress(1, 2, "[/] \x1b[2J")
        task.progress(0, 5, "next stage")
        task.say("[bold]a note[/bold]")
    assert "[bold]a note[/bold]" in stream.getvalue()
    assert "[/] \\u001b[2J" in stream.getvalue()
    assert "next stage" in stream.getvalue()


def test_without_a_terminal_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with work("train") as task:
        task.progress(1, 1, "epoch 1")
        task.say("New best")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "train: 1 of 1 (100%), epoch 1\nNew best\n"
