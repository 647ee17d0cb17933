"""What a run says before its first step: its method, what it has no use for, what it shares."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_simple_launcher_cmd_env

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.beginning import begin, open_accelerator
from distillery_core.student.computing.device import started_fewer, usable_cores
from distillery_core.student.dataset_check import check_dataset
from distillery_core.student.planning.auto import decide
from distillery_core.student.planning.plan import choose
from distillery_core.student.planning.step_memory import GIB
from distillery_core.student.settings import TrainSettings
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


@pytest.mark.parametrize(("named", "is_told"), [(20, True), (64, False), (0, False), (None, False)])
def test_an_article_longer_than_what_is_computed_at_a_time_is_told(
    named: int | None,
    is_told: bool,
    filter_: Filter,
    data_dir: Path,
    settings: Make,
    tmp_path: Path,
) -> None:
    said: list[str] = []
    asked = settings(micro_batch_tokens=named)
    begin(
        filter_,
        check_dataset(filter_, data_dir),
        tmp_path,
        asked,
        open_accelerator(asked),
        1,
        said.append,
    )
    told = r"More than 20 tokens at a time: \d+ of 96 articles are longer and are computed one at "
    told += r"a time, of up to \d\d tokens"
    assert [bool(re.fullmatch(told, line)) for line in said].count(True) == is_told


@pytest.fixture
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a launcher of these tests themselves may have left in their environment."""
    for name in list(os.environ):
        if name.startswith("ACCELERATE_") or name in _OF_A_LAUNCHER:
            monkeypatch.delenv(name)


_OF_A_LAUNCHER = {"MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK"}


@pytest.mark.usefixtures("no_launcher")
@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--cpu", "--num_processes", "2"], True),
        (["--cpu", "--num_processes", "1"], False),
        (["--cpu"], False),
    ],
)
def test_one_process_where_accelerate_was_to_start_several_is_told(
    given: list[str], told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what accelerate itself would start the process with."""
    read = launch_command_parser().parse_args([*given, "train.py"])
    for name, value in prepare_simple_launcher_cmd_env(_validate_launch_command(read)[0])[
        1
    ].items():
        monkeypatch.setenv(name, value)
    assert (started_fewer(1) is not None) == told


@pytest.mark.usefixtures("no_launcher")
@pytest.mark.parametrize(("asked", "found", "told"), [("3", 1, True), ("3", 3, False)])
def test_fewer_processes_than_there_were_to_be_are_told(
    asked: str, found: int, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", asked)
    assert (started_fewer(found) is not None) == told


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
