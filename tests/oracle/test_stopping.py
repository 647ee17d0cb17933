"""Rules that end a run: each one is watched firing."""

from __future__ import annotations

import pytest

from distillery_core.oracle.client import OracleFailure
from distillery_core.oracle.questions import AskSettings
from distillery_core.oracle.spec import OracleSpec
from distillery_core.oracle.stopping import FailureWatch, ProgressWatch, StopRules


def test_half_of_a_full_window_stops() -> None:
    watch = FailureWatch(10, 0.5)
    for _ in range(5):
        watch.good()
    stops = [watch.unusable("prose") for _ in range(5)]
    assert stops[:4] == [None] * 4
    assert stops[4] is not None
    assert "5 of the last 10 calls" in stops[4].message


def test_overload_never_stops_and_no_window_never_stops() -> None:
    watch = FailureWatch(2, 0.5)
    watch.good()
    assert all(watch.failed("overload", "429", ends_row=False) is None for _ in range(50))
    unlimited = FailureWatch(None, 0.5)
    assert all(unlimited.unusable("prose") is None for _ in range(200))


def test_articles_given_up_for_overload_stop_only_in_a_row() -> None:
    watch = FailureWatch(50, 0.5)
    for _ in range(5):
        assert watch.failed("overload", "429", ends_row=True) is None
        assert watch.failed("overload", "429", ends_row=True) is None
        watch.good()
    stops = [watch.failed("overload", "429 daily quota", ends_row=True) for _ in range(3)]
    assert stops[:2] == [None, None]
    assert stops[2] is not None
    assert stops[2].kind == "wait"
    assert "daily quota" in stops[2].message


def test_down_stops_at_once_before_any_success_and_after_ten_later() -> None:
    assert FailureWatch(50, 0.5).failed("down", "gone", ends_row=False) is not None
    watch = FailureWatch(50, 0.5)
    watch.good()
    stops = [watch.failed("down", "gone", ends_row=False) for _ in range(10)]
    assert stops[:9] == [None] * 9
    assert stops[9] is not None


def test_nothing_but_refusals_stops_after_enough_calls() -> None:
    watch = ProgressWatch(30, 600)
    for _ in range(29):
        assert watch.failed("429") is None
    watch.good()
    stops = [watch.failed("429 slow down") for _ in range(30)]
    assert stops[:29] == [None] * 29
    assert stops[29] is not None
    assert stops[29].kind == "no_progress"
    assert "no usable answer among the last 30 calls" in stops[29].message
    assert "429 slow down" in stops[29].message
    assert "limits" in stops[29].hint


def test_no_progress_for_a_long_time_stops_after_a_few_calls() -> None:
    now = [0.0]
    watch = ProgressWatch(1000, 600, clock=lambda: now[0])
    for _ in range(19):
        now[0] += 100
        assert watch.failed("429") is None
    assert watch.failed("429") is not None


def test_no_progress_counts_four_rounds_of_calls_at_least() -> None:
    rules = StopRules(OracleSpec(name="o", model="m"), AskSettings(no_progress_calls=10), 16)
    overload = OracleFailure("overload", "429", status=429)
    stops = [rules.failed(overload, ends_row=False) for _ in range(64)]
    assert stops[:63] == [None] * 63
    assert stops[63] is not None


@pytest.mark.parametrize("kind", ["auth", "quota", "not_found"])
def test_a_broken_set_up_stops_at_once_and_names_what_to_do(kind: str) -> None:
    spec = OracleSpec(name="o", model="m", api_key_env="SOME_KEY")
    stop = StopRules(spec, AskSettings(), 4).failed(
        OracleFailure(kind, "no", status=401),  # type: ignore[arg-type]
        ends_row=False,
    )
    assert stop is not None
    assert (stop.kind, "HTTP 401" in stop.message) == (kind, True)
    assert stop.hint
