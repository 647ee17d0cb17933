"""Notes and progress of steps: to whoever listens, else into the log."""

from __future__ import annotations

import logging

import pytest

from distillery_core.steps import work


def test_a_listener_hears_the_steps() -> None:
    said: list[str] = []
    seen: list[tuple[int, int | None, str]] = []
    with work.listening(said.append, lambda done, total, note="": seen.append((done, total, note))):
        work.say("begun")
        work.progress(1, 2, "note")
    work.say("nobody hears this")
    assert said == ["begun"] and seen == [(1, 2, "note")]


def test_without_a_listener_the_log_gets_a_line_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        caplog.at_level(logging.INFO, logger=work.__name__),
        work.listening(work.logger.info, None),
    ):
        for done in range(1, 101):
            work.progress(done, 100)
    assert [record.getMessage().strip() for record in caplog.records] == ["1 of 100", "100 of 100"]
