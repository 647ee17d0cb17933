"""Utilisation: a share of one peak all through a run, cut off or not, and never above all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from distillery_core.filters.filter import Filter
from distillery_core.student import beginning
from distillery_core.student.peak import Peak, kept
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train

Make = Callable[..., TrainSettings]
FIRST, AGAIN = Peak(100.0, "cpu, 1 threads"), Peak(90.0, "cpu, 1 threads")
ELSEWHERE = Peak(50.0, "cpu, 2 threads")


@pytest.mark.parametrize(
    ("flops", "seconds", "share"), [(50, 1, 0.5), (100, 1, 1.0), (101, 1, None), (50, 0, None)]
)
def test_no_device_does_more_than_it_can(flops: float, seconds: float, share: float | None) -> None:
    assert FIRST.share(flops, seconds) == share


@pytest.mark.parametrize(
    ("first", "now", "taken"),
    [
        (FIRST, AGAIN, FIRST),
        (FIRST, ELSEWHERE, ELSEWHERE),
        (None, AGAIN, AGAIN),
        (FIRST, None, None),
        (None, None, None),
    ],
)
def test_the_first_measurement_is_kept(
    first: Peak | None, now: Peak | None, taken: Peak | None
) -> None:
    assert kept(first, now) == taken


def test_a_resumed_run_goes_on_with_the_peak_it_began_with(
    filter_: Filter,
    data_dir: Path,
    settings: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = settings(epochs=2, checkpoint_dir=str(tmp_path / "checkpoints"))

    def stop(done: int, total: int | None, note: str = "") -> None:
        if done == 14:  # 12 steps an epoch
            raise KeyboardInterrupt

    monkeypatch.setattr(beginning, "peak_flops", lambda device, precision: 1e12)
    with pytest.raises(KeyboardInterrupt):
        train(filter_, data_dir, tmp_path / "out", asked, progress=stop)
    monkeypatch.setattr(beginning, "peak_flops", lambda device, precision: 7e11)
    resumed = train(filter_, data_dir, tmp_path / "out", replace(asked, resume="newest"))
    assert resumed.metadata["peak_flops"] == 1e12
    of_speed = [
        (record.model_flops_utilisation or 0) / (record.tokens_per_second or 1)
        for record in resumed.history
    ]
    assert of_speed[0] > 0
    assert of_speed == pytest.approx([of_speed[0]] * 2)


def test_a_peak_that_cannot_be_right_gives_no_utilisation(
    filter_: Filter,
    data_dir: Path,
    settings: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(beginning, "peak_flops", lambda device, precision: 1.0)
    found = train(filter_, data_dir, tmp_path, settings())
    assert found.history[0].model_flops_utilisation is None
    assert found.metadata["peak_flops"] == 1.0
