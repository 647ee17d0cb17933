"""What a run says before its first step: its method, what it has no use for, what it shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.auto import decide
from distillery_core.student.device import usable_cores
from distillery_core.student.plan import choose
from distillery_core.student.settings import TrainSettings
from distillery_core.student.step_memory import GIB
from distillery_core.student.training import train
from distillery_core.student.without_effect import say_what_has_no_effect

Make = Callable[..., TrainSettings]


def _chosen(asked: TrainSettings, processes: int) -> tuple[str, float]:
    found = decide(asked, 3, device="cpu", processes=processes)
    return choose(found.shape, found.settings, found.target).method, found.target.memory


def test_processes_on_a_cpu_share_its_memory(
    settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them needs about 0.7 GiB, whatever the base."""
    asked = settings(memory_limit_gib=1.0)
    assert _chosen(asked, 1) == ("full", GIB)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    shared = (
        r"full: needs 0\.7 GiB, there are 0\.5 GiB for each of 2 processes(?s:.)*fewer --devices"
    )
    with pytest.raises(UserError, match=shared):
        _chosen(asked, 2)
    assert _chosen(replace(asked, memory_limit_gib=2.0), 2) == ("full", GIB)
    assert decide(asked, 3, device="H100", processes=2).target.memory == GIB, "a GPU each"


def test_a_method_for_which_two_have_no_memory_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = TrainSettings(model_name="Qwen/Qwen2.5-0.5B", memory_limit_gib=14.0)
    assert _chosen(asked, 1)[0] == "full"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert _chosen(asked, 2)[0] == "lora"


def test_what_was_asked_for_in_vain_is_said(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    said: list[str] = []
    asked = settings("bert", method="full", frozen_head="mlp", lora_rank=3, threads=5000)
    train(filter_, data_dir, tmp_path, asked, say=said.append)
    assert "Without effect with --method full: frozen_head mlp, lora_rank 3" in said
    assert f"CPU threads: {usable_cores()}, not 5000 (at most one a core)" in said


@pytest.mark.parametrize(
    ("method", "asked", "told"),
    [
        ("full", {"lora_rank": 16, "head_epochs": 100}, ""),
        ("full", {"lora_alpha": 8.0, "frozen_head": "mlp"}, "frozen_head mlp, lora_alpha 8.0"),
        ("full", {"base_precision": "bf16"}, "base_precision bf16"),
        ("lora", {"base_precision": "bf16", "lora_rank": 3}, ""),
        ("lora", {"head_epochs": 7}, "head_epochs 7"),
        ("qlora", {"base_precision": "bf16", "lora_rank": 3}, "base_precision bf16"),
    ],
)
def test_settings_of_other_methods(
    method: str, asked: dict[str, object], told: str, settings: Make
) -> None:
    said: list[str] = []
    say_what_has_no_effect(settings(**asked), method, said.append)  # type: ignore[arg-type]
    assert said == ([f"Without effect with --method {method}: {told}"] if told else [])
