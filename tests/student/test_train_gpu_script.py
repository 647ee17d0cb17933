"""benchmarks/train_gpu.py: its way on a CPU with a tiny base, all of it that needs no GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from distillery_core.errors import UserError
from distillery_core.student.planning.shape import base_config
from distillery_core.student.settings import TrainSettings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"


def test_both_loops_run_on_a_tiny_base_and_nothing_is_written() -> None:
    before = PAGE.read_bytes()
    done = subprocess.run(
        [sys.executable, "benchmarks/train_gpu.py", "--device", "cpu", "--tiny"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "tiny, ours: " in done.stdout
    assert "tiny, Trainer(bf16=True): " in done.stdout
    figures = dict(line.split("=") for line in done.stdout.splitlines() if "_tiny=" in line)
    assert set(figures) == {
        "share_of_gpu_peak_tiny", "vs_trainer_gpu_tiny", "seed_job_minutes_tiny"
    }  # fmt: skip
    assert float(figures["vs_trainer_gpu_tiny"]) > 0
    assert PAGE.read_bytes() == before


@pytest.fixture
def in_benchmarks(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The scripts find each other as they do when they are started."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return monkeypatch


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which would be measured")
def test_without_a_gpu_it_says_so_in_a_line(
    in_benchmarks: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import train_gpu

    before = PAGE.read_bytes()
    in_benchmarks.setattr(sys, "argv", ["train_gpu.py", "--write"])
    assert train_gpu.main() == 0
    assert capsys.readouterr().out == "No GPU at hand: nothing was measured.\n"
    assert PAGE.read_bytes() == before


@pytest.mark.parametrize("options", [["--device", "cpu"], ["--tiny", "--write"]])
def test_a_large_base_on_a_cpu_and_a_tiny_result_are_refused(
    in_benchmarks: pytest.MonkeyPatch, options: list[str]
) -> None:
    import train_gpu

    in_benchmarks.setattr(sys, "argv", ["train_gpu.py", *options])
    with pytest.raises(SystemExit, match="2"):
        train_gpu.main()


def test_a_base_that_is_too_large_costs_its_row_only(in_benchmarks: pytest.MonkeyPatch) -> None:
    import train_gpu

    def run(error: Exception, cause: Exception | None = None) -> Any:
        def loop(*_: object) -> Any:
            raise error from cause

        return train_gpu._unless_too_large(loop, None, None)

    assert run(torch.OutOfMemoryError("CUDA out of memory")) is None
    assert run(UserError("out of memory at step 1"), torch.OutOfMemoryError()) is None
    with pytest.raises(UserError, match="peft"):
        run(UserError("--method lora needs peft"))
    assert train_gpu._cells(None, TrainSettings(), 1e12)[0] == "out of memory"


def test_every_epoch_of_ours_passes_over_all_articles(
    in_benchmarks: pytest.MonkeyPatch, base: Callable[[str], Path]
) -> None:
    from train_loops import begun, passes
    from train_setup import made_up

    settings = TrainSettings(
        model_name=str(base("qwen2")), max_length=16, epochs=2, batch_size=4, device="cpu"
    )
    run = begun(made_up(8), settings)
    assert [record.tokens for record in passes(run)] == [8 * 16, 8 * 16]
    assert run.position.step == run.total_steps == 4


def test_a_hollow_base_holds_every_weight_and_takes_no_room(
    tmp_path: Path, in_benchmarks: pytest.MonkeyPatch
) -> None:
    from hollow_base import hollow_base

    folder = hollow_base(tmp_path, base_config("Qwen/Qwen2.5-7B"), ["words to learn from"])
    weights = Path(folder) / "model.safetensors"
    assert weights.stat().st_size > 14e9
    assert weights.stat().st_blocks * 512 < 1e6
    with safe_open(weights, "pt") as file:
        assert len(file.keys()) == 338
        found = file.get_tensor("layers.27.self_attn.q_proj.weight")
    assert (found.shape, found.dtype) == ((3584, 3584), torch.bfloat16)
